"""How long a worker may take: for all of its work, and for each phase of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from isobench.failures import Phase
from isobench.record import record

_PARTS = {
    "import": (Phase.IMPORTING,),
    "script": (Phase.RUNNING_SCRIPT, Phase.COMPUTING_EXPECTED),
    "export": (Phase.EXPORTING, Phase.CONVERTING),
    "load": (Phase.LOADING, Phase.PARSING, Phase.MOVING_TO_GPU),
    "compile": (Phase.COMPILING, Phase.BUILDING_ENGINE, Phase.COMPARING_ENGINES, Phase.CAPTURING_GRAPH),
    "warm-up": (Phase.WARMING_UP,),
    "measure": (Phase.MEASURING,),
    "write": (Phase.WRITING,),
}
"""What belongs to each phase that `--timeout` knows."""
PART_OF = {phase: part for part, phases in _PARTS.items() for phase in phases}


@record(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """A limit that was reached: `option` is its value as the user gives it, `hint` how to give another."""

    limit_s: float
    option: str
    hint: str


class TimeLimits:
    """The limits of one worker, and what it has used of them. Only time in which the host waits for it counts.

    `total_s` is for all of its work, `phases_s` for single phases (names of `setting_values.PHASES`).
    """

    def __init__(self, total_s: float = 0.0, phases_s: Mapping[str, float] | None = None) -> None:
        self._limits_s = {"": total_s, **(phases_s or {})}
        self._used_s = dict.fromkeys(self._limits_s, 0.0)
        self._phase = PART_OF[Phase.IMPORTING]
        self._since_s: float | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While this runs, the host waits for the worker."""
        self._since_s = time.monotonic()
        try:
            yield
        finally:
            self._count()
            self._since_s = None

    def enter(self, phase: Phase) -> None:
        """The worker has begun another phase."""
        self._count()
        self._phase = PART_OF[phase]

    def left_s(self) -> float:
        """How long the host may wait from now on; 0 or less: a limit is reached."""
        self._count()
        return min(limit_s - self._used_s[name] for name, limit_s in self._present())

    def exceeded(self) -> Exceeded:
        """The limit that was reached, or is reached first."""
        name, limit_s = min(self._present(), key=lambda limit: limit[1] - self._used_s[limit[0]])
        if name:
            hint = f"Allow more time for this phase with --timeout {name}=SECONDS."
            return Exceeded(limit_s=limit_s, option=f"--timeout {name}={limit_s:g}", hint=hint)
        return Exceeded(limit_s=limit_s, option="--timeout", hint="Allow more time with --timeout SECONDS.")

    def _present(self) -> list[tuple[str, float]]:
        """The limits that are in effect in this phase."""
        names = [name for name in ("", self._phase) if name in self._limits_s]
        return [(name, self._limits_s[name]) for name in names]

    def _count(self) -> None:
        if self._since_s is None:
            return
        now_s = time.monotonic()
        for name, _ in self._present():
            self._used_s[name] += now_s - self._since_s
        self._since_s = now_s


def milliseconds(seconds: float) -> int:
    """For poll, which takes no more than a C int: whoever waits longer polls again."""
    return min(math.ceil(max(0.0, seconds) * 1000), 2**31 - 1)
