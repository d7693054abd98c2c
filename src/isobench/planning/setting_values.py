"""The values of settings, read from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from isobench.workers import machine

PHASES = ("import", "script", "export", "load", "compile", "warm-up", "measure", "write")
"""What a worker's work consists of, as `--timeout` names it; `supervisor.limits` knows what belongs to each."""
UNKNOWN_PHASE = "unknown phase {0!r}: the phases are " + ", ".join(PHASES)

TIMEOUT = "a number of seconds, or such as compile=600,measure=60"
"""What a time limit is, in words."""

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LARGEST = [(unit, size) for unit, size in reversed(_SIZES.items()) if unit]


def percent(text: str) -> float:
    """`1%` as 0.01.

    Raises:
        ValueError: it isn't of that form.
    """
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not (text.endswith("%") and 0 < share < 1):
        raise ValueError(f"must be a percentage such as 1% or 0.5%, got {text!r}")
    return share


def number_list(text: str) -> tuple[int, ...]:
    """`0-3,8` as numbers.

    Raises:
        ValueError: it isn't of that form.
    """
    try:
        numbers = machine.parse_cpu_list(text)
    except ValueError:
        numbers = ()
    if not numbers:
        raise ValueError(f"must be a list of numbers such as 0-3,8, got {text!r}")
    return numbers


def timeout(text: str) -> float | dict[str, float]:
    """`900` as a number of seconds; `compile=600,measure=60` as the limits of phases; `900,compile=600` has both.

    The limit of all phases together is then that of "".

    Raises:
        ValueError: it isn't of that form.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        phase, equals, seconds = part.rpartition("=")
        phase = phase.strip()
        if phase in found or (equals and not phase):
            raise ValueError(f"must name each phase once, got {text!r}")
        if phase and phase not in PHASES:
            raise ValueError(UNKNOWN_PHASE.format(phase))
        try:
            found[phase] = float(seconds)
        except ValueError:
            raise ValueError(f"must be {TIMEOUT}, got {text!r}") from None
    return found[""] if list(found) == [""] else found


def size(text: str) -> int:
    """`4GiB`, `4G` and `4294967296` as bytes. A unit is a power of 1024.

    Raises:
        ValueError: it isn't of that form.
    """
    unit = text.strip().upper().removesuffix("IB").removesuffix("B")[-1:]
    unit = unit if unit in _SIZES else ""
    number = text.strip().upper().removesuffix("IB").removesuffix("B").removesuffix(unit)
    try:
        return int(float(number) * _SIZES[unit])
    except (ValueError, OverflowError):
        raise ValueError(f"must be a size such as 4GiB or 500M, got {text!r}") from None


READERS: Mapping[str, Callable[[str], Any]] = {
    "percent": percent,
    "list": number_list,
    "timeout": timeout,
    "bytes": size,
}
"""What reads the text of a setting, by its kind; they raise a ValueError that says what it must be."""


def in_units(size_bytes: int) -> str:
    """A size in the largest unit that it reaches: 4GiB."""
    return next((f"{size_bytes / size:g}{unit}iB" for unit, size in _LARGEST if size_bytes >= size), str(size_bytes))
