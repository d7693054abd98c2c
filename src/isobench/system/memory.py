"""How much memory is left, for those who are about to take a lot: a kernel that runs out of it ends processes."""

from __future__ import annotations

from isobench.workers import machine


def available_bytes(*, meminfo: str = "/proc/meminfo") -> int | None:
    """The memory that can be taken without swapping, at most the control groups' limit; None where it isn't known."""
    found = [machine.memory_limit()]
    try:
        with open(meminfo, encoding="ascii", errors="replace") as lines:  # noqa: PTH123
            words = next((line.split() for line in lines if line.startswith("MemAvailable:")), [])
    except OSError:
        words = []
    if len(words) > 1 and words[1].isdecimal():
        found.append(int(words[1]) * 1024)
    return min((size for size in found if size is not None), default=None)
