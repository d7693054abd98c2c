"""Devices: their names, the CPUs that this process may use, and a lock for one measurement at a time on each."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from isobench import paths
from isobench.errors import LockError, LockHeldError, UsageError
from isobench.failures import Ending
from isobench.record import record
from isobench.system.locks import FileLock
from isobench.workers import machine

CPUS = ("x86", "cpu")
"""The families of processors: `cpu` is this machine's, whatever it is."""
NVIDIA = "nvidia"
FAMILIES = (*CPUS, NVIDIA)
"""The families that isobench's own runtimes know; plugins may add others."""

_X86 = {"x86_64", "amd64", "i386", "i686"}

_WORD = r"[A-Za-z0-9][A-Za-z0-9._+-]*"


@record(frozen=True, slots=True, kw_only=True)
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


def may_be_of(device: str, processor: str) -> bool:
    """Can a machine with a processor of that architecture have the device?"""
    return device.partition("::")[0] != "x86" or processor in _X86


def check_machine(device: Device) -> None:
    """Raises:
    UsageError: `device` is an x86, and this machine's processor isn't one.
    """
    if not may_be_of(str(device), architecture()):
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
        LockHeldError: the device wasn't free within `timeout_s`.
        UsageError: the lock file isn't safe to use, or can't be created.
    """
    # All families of processors are the same hardware.
    name = CPUS[0] if device.family in CPUS else device.family
    file = paths.devices() / f"{name}.lock"
    lock = FileLock(
        file,
        what=str(device),
        on_wait=on_wait,
        timeout_s=timeout_s,
        keep=True,
        between_users=True,
        failure=Ending.DEVICE_BUSY,
    )
    with ExitStack() as held:
        try:
            held.enter_context(lock)
        except LockHeldError as error:
            option = "--wait" if timeout_s else "--no-wait"
            error.hint = f"Without {option}, isobench waits until it is free."
            raise
        except LockError as error:
            hint = "Remove it, or set ISOBENCH_DEVICE_LOCKS to a folder that every user of this machine can write to."
            raise UsageError(f"unsafe device lock: {error.message}", hint=hint) from None
        yield
