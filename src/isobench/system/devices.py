"""Devices: their names, the CPUs that this process may use, and a lock for one measurement at a time on each."""

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

_WORD = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
_LOOK_AGAIN_S = 0.5
"""How often a process with a time limit tries the lock; without a limit it sleeps in the kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """`family[::part[::config]]`, such as `x86`, `nvidia::h100` or `nvidia::h100::mig-1g`; "" where not given."""

    family: str
    part: str = ""
    config: str = ""

    @classmethod
    def parse(cls, text: str, *, families: Iterable[str] = FAMILIES) -> Device:
        """The device that a user named.

        Raises:
            UsageError: the text isn't of that form, or its family is unknown.
        """
        known = ", ".join(families)
        family, *rest = text.split("::")
        if len(rest) > 2 or not all(re.fullmatch(_WORD, word) for word in (family, *rest)):
            raise UsageError(
                f"--device must be FAMILY[::PART[::CONFIG]], got {text!r}", hint=f"The families are: {known}."
            )
        if family not in families:
            raise UsageError(f"--device {text}: unknown family {family!r}", hint=f"The families are: {known}.")
        part, config = (*rest, "", "")[:2]
        return cls(family=family, part=part, config=config)

    @property
    def is_nvidia(self) -> bool:
        """Is it an NVIDIA GPU?"""
        return self.family == NVIDIA

    def __str__(self) -> str:
        return "::".join(word for word in (self.family, self.part, self.config) if word)


def architecture() -> str:
    """This machine's processor as the kernel calls it: "x86_64", "aarch64"."""
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


def default_threads(among: Sequence[int] = ()) -> int:
    """The default of --threads: the physical cores that affinity and quota leave this process, at least one.

    `among` are some of its CPUs, if it may not use all of them.
    """
    cores = len(machine.physical_cores(among or machine.cpus()))
    quota, _ = machine.cpu_quota()
    # More threads than the quota allows are throttled, which costs more than they gain.
    return cores if quota is None else min(cores, max(1, math.floor(quota)))


@contextmanager
def exclusive(
    device: Device, *, timeout_s: float | None = None, on_wait: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold `device` for one measurement: across processes, users and every ISOBENCH_HOME of this machine.

    All parts and configurations of a family share one lock, because they share the hardware (`x86` and `x86::epyc`).
    Before this process waits, `on_wait` is called once with a sentence that names the holder. The kernel releases the
    lock when its holder exits or is killed. The holder can't lock it again.

    Raises:
        UsageError: the device wasn't free within `timeout_s`, or the lock file isn't safe to use.
    """
    import fcntl  # not the filelock package, which takes 60 ms to import and polls

    # All families of processors are the same hardware.
    descriptor = _open_lock(CPUS[0] if device.family in CPUS else device.family)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if timeout_s != 0:
                on_wait(f"{device} is in use by {_holder(descriptor)}; waiting")
            if not _wait(descriptor, timeout_s):
                when = f"was not free within {timeout_s:g} s" if timeout_s else "is not free"
                raise UsageError(
                    f"{device} {when}: in use by {_holder(descriptor)}",
                    hint="Without --no-wait, isobench waits for it.",
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
    """Wait for the lock; was it acquired in time?"""
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
    """Open the family's lock file; if it is missing, create it so that every user can lock and write it."""
    folder = paths.devices()
    try:
        folder.mkdir(mode=0o1777)
        folder.chmod(0o1777)  # whatever the umask; sticky, so that nobody can remove another user's file
    except FileExistsError:
        pass
    except OSError as error:
        raise _unsafe(f"{folder} can't be created: {error.strerror}") from None
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise _unsafe(f"{folder} must be a folder")
    file = folder / f"{family}.lock"
    # First without O_CREAT, which the kernel refuses for another user's file in a folder that everybody may write to.
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(file, flags)
        except FileNotFoundError:
            descriptor = _create(os.fspath(file), flags)
    except OSError as error:
        raise _unsafe(f"{file}: {error.strerror}") from None
    found = os.fstat(descriptor)
    # Another user's link would make us write to a file of their choice.
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise _unsafe(f"{file} must be a regular file without other links")
    return descriptor


def _create(file: str, flags: int) -> int:
    try:
        descriptor = os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:  # another process created it meanwhile
        return os.open(file, flags)
    os.fchmod(descriptor, 0o666)
    return descriptor


def _unsafe(evidence: str) -> UsageError:
    return UsageError(
        f"unsafe device lock: {evidence}",
        hint="Remove it, or set ISOBENCH_DEVICE_LOCKS to a folder that every user of this machine can write to.",
    )


def _introduction() -> str:
    """One line about this process for those who wait for it: pid, user, time and command, separated by tabs."""
    try:
        import pwd

        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, a user may have no name
        user = str(os.getuid())
    return "\t".join((str(os.getpid()), user, time.strftime("%H:%M"), os.path.basename(sys.argv[0]) or "python"))  # noqa: PTH119


def _holder(descriptor: int) -> str:
    """The holder as it introduced itself in the lock file; control characters are removed, since it may be anybody."""
    text = os.pread(descriptor, 500, 0).decode(errors="replace")
    fields = ["".join(char for char in field if char.isprintable()) for field in text.split("\t")]
    if len(fields) != 4:  # it holds the lock, but hasn't written yet
        return "another process"
    pid, user, since, command = fields
    return f"pid {pid} ({user}, {command}) since {since}"
