"""Devices: what they are called, which CPUs this process may use, and one measurement at a time on each."""

from __future__ import annotations

import math
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from isobench import paths
from isobench.errors import UsageError
from isobench.workers import machine

CPUS = ("x86", "cpu")
"""The families of processors: `cpu` is this machine's, whatever it is."""
NVIDIA = "nvidia"
FAMILIES = (*CPUS, NVIDIA)
"""The families that isobench's own runtimes know; plugins may add others."""

_X86 = {"x86_64", "amd64", "i386", "i686"}

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LOOK_AGAIN_S = 0.5
"""How often a waiting process looks, if it has a time limit; without one it sleeps in the kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """`family[::part[::config]]`, such as `x86`, `nvidia::h100` or `nvidia::h100::mig-1g`; "" where not given."""

    family: str
    part: str = ""
    config: str = ""

    @classmethod
    def parse(cls, text: str, *, families: Iterable[str] = FAMILIES) -> Device:
        """The device that a user names.

        Raises:
            UsageError: it isn't of that form, or of a family that isn't known.
        """
        known = ", ".join(families)
        family, *rest = text.split("::")
        if len(rest) > 2 or not all(_WORD.fullmatch(word) for word in (family, *rest)):
            raise UsageError(
                f"{text!r} names no device", hint=f"name it family[::part[::config]]; the families are: {known}"
            )
        if family not in families:
            raise UsageError(f"the device {text!r} is of no known family", hint=f"the families are: {known}")
        part, config = (*rest, "", "")[:2]
        return cls(family=family, part=part, config=config)

    @property
    def is_nvidia(self) -> bool:
        """Is it an NVIDIA GPU?"""
        return self.family == NVIDIA

    def __str__(self) -> str:
        return "::".join(word for word in (self.family, self.part, self.config) if word)


def architecture() -> str:
    """This machine's processor by the kernel's name: "x86_64", "aarch64"."""
    return os.uname().machine


def check_machine(device: Device) -> None:
    """Raises:
    UsageError: `device` is an x86, and this machine's processor isn't one.
    """
    if device.family == "x86" and architecture() not in _X86:
        raise UsageError(
            f"no device {device}: this machine's processor is {architecture()}",
            hint="--device cpu is this machine's processor.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """What this process may use of the CPUs: its affinity, less what its control group's quota leaves out."""

    logical: int
    physical: int
    quota: float | None
    """CPUs' worth of time that the control group allows; None: no limit."""


def cores(among: Sequence[int] = ()) -> Cores:
    """Count the cores that are available to this process (`among` some of its CPUs); at least one."""
    mine = among or machine.cpus()
    quota, _ = machine.cpu_quota()
    # A thread more than the quota pays for is throttled, which costs more than it brings.
    ceiling = max(1, math.floor(quota)) if quota is not None else len(mine)
    return Cores(logical=min(len(mine), ceiling), physical=min(len(machine.physical_cores(mine)), ceiling), quota=quota)


def default_threads(among: Sequence[int] = ()) -> int:
    """The thread number of all runtimes unless the user sets one: the physical cores at hand (`among` some CPUs)."""
    return cores(among).physical


@contextmanager
def exclusive(
    device: Device, *, timeout_s: float | None = None, on_wait: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold `device` for one measurement: across processes, users and every ISOBENCH_HOME of this machine.

    All parts and configurations of a family share one lock, as they share the hardware (and `x86` is `x86::epyc`).
    `on_wait` is called once, with a sentence that says who holds the device, before this process waits for it.
    The lock ends with the process that holds it, however that dies. It can't be taken twice, not by its holder either.

    Raises:
        UsageError: the device wasn't free within `timeout_s`, or the lock can't be shared.
    """
    import fcntl  # flock, not the filelock package: free of its 60 ms of imports, and it can wait without polling

    # All families of processors are the same hardware.
    descriptor = _open_lock(CPUS[0] if device.family in CPUS else device.family)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if timeout_s != 0:
                on_wait(f"{device} is being measured by {_holder(descriptor)}; waiting")
            if not _wait(descriptor, timeout_s):
                when = f"was not free within {timeout_s:g} s" if timeout_s else "is not free"
                raise UsageError(
                    f"{device} {when}: it is being measured by {_holder(descriptor)}",
                    hint="Wait for it: without --no-wait, isobench does.",
                ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _introduction().encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _wait(descriptor: int, timeout_s: float | None) -> bool:
    """Wait for the lock; whether it was got in time."""
    import fcntl

    if timeout_s is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    end = time.monotonic() + timeout_s
    while True:
        time.sleep(max(0.0, min(_LOOK_AGAIN_S, end - time.monotonic())))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        else:
            return True


def _open_lock(family: str) -> int:
    """Open the family's lock file, made by whoever comes first so that every user can lock it and say who he is."""
    folder = paths.devices()
    try:
        folder.mkdir(mode=0o1777)
        folder.chmod(0o1777)  # the umask had its say; sticky: nobody can remove what another one locks
    except FileExistsError:
        pass
    except OSError as error:
        raise _unsafe(f"{folder} can't be made: {error.strerror}") from None
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise _unsafe(f"{folder} is no folder")
    file = folder / f"{family}.lock"
    # Opened without O_CREAT first: where everybody may write, the kernel refuses O_CREAT on another one's file.
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(file, flags)
        except FileNotFoundError:
            descriptor = _create(os.fspath(file), flags)
    except OSError as error:
        raise _unsafe(f"{file}: {error.strerror}") from None
    found = os.fstat(descriptor)
    # A link put there by another user would have us write into a file of its choice.
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise _unsafe(f"{file} is no plain file of its own")
    return descriptor


def _create(file: str, flags: int) -> int:
    try:
        descriptor = os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:  # another process came first, between our two looks
        return os.open(file, flags)
    os.fchmod(descriptor, 0o666)
    return descriptor


def _unsafe(evidence: str) -> UsageError:
    return UsageError(
        f"the lock that makes a device exclusive can't be used: {evidence}",
        hint="remove it, or set ISOBENCH_DEVICE_LOCKS to a folder that every user of this machine can write to",
    )


def _introduction() -> str:
    """One line about this process, for those who will wait for it: pid, user, since, command, between tabs."""
    try:
        import pwd

        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user needs no name
        user = str(os.getuid())
    return "\t".join((str(os.getpid()), user, time.strftime("%H:%M"), os.path.basename(sys.argv[0]) or "python"))  # noqa: PTH119


def _holder(descriptor: int) -> str:
    """Who wrote its introduction into the lock file; what another user wrote is shown without control characters."""
    text = os.pread(descriptor, 500, 0).decode(errors="replace")
    fields = ["".join(char for char in field if char.isprintable()) for field in text.split("\t")]
    if len(fields) != 4:  # it has the lock, and hasn't written yet
        return "another process"
    pid, user, since, command = fields
    return f"pid {pid} ({user}, {command}) since {since}"
