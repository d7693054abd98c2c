"""Plan: everything that one call measures, as names and values only, so that it can be saved and sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from isobench.constraints import PositiveCount
from isobench.errors import UsageError
from isobench.planning.models import Model
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import MOST, Settings
from isobench.record import record

SCHEMA = "isobench.plan/1"


@record(frozen=True, slots=True, kw_only=True)
class SweepPlace:
    """Where in a sweep a Case stands: the sweep's name, the key of its task, and which attempt at it this is.

    `axes` are the values of the matrix (`{"batch": 8}`), `labels` those of the suite; `repeat` counts from 1.
    """

    sweep: str
    task: str
    axes: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    repeat: PositiveCount = 1
    attempt: PositiveCount = 1


@record(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every model on every runtime.

    `rt_args` are for all runtimes; those of a `RuntimeChoice` take precedence. `interleaved`: all Cases block by block.
    `wait_s` is how long to wait for a device that is in use, None: until it is free. `results` is the folder to save in
    (None: isobench's own); relative paths start from the folder in which the plan is executed. `sweep` is the plan's
    place in a sweep, None where it is in none.
    """

    models: tuple[Model, ...]
    runtimes: tuple[RuntimeChoice, ...]
    device: str
    settings: Settings
    rt_args: Mapping[str, Any] = field(default_factory=dict)
    interleaved: bool = False
    wait_s: float | None = None
    command: tuple[str, ...] = ()
    results: Path | None = None
    sweep: SweepPlace | None = None
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        from isobench import codec

        value: dict[str, Any] = codec.encode(self)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` returned `value` for.

        Raises:
            ValueError: it has another schema, or doesn't match it.
        """
        from isobench import codec

        plan: Plan = codec.decode_document(cls, value, "plan")
        return plan


def seconds_to_wait(wait: bool | float) -> float | None:
    """`Plan.wait_s`: True waits until the device is free, False not at all, a number at most so many seconds.

    Raises:
        UsageError: the number is negative, or no number.
    """
    if wait is True:
        return None
    if wait is not False and not (isinstance(wait, int | float) and 0 <= wait <= MOST):
        raise UsageError(f"wait must be true, false, or a number of seconds, got {wait!r}")
    return float(wait)
