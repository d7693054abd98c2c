"""The untimed iterations before a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class Warmup:
    """The untimed iterations, the first included. `settled` is None where their number was fixed beforehand.

    `curve` holds, for each window, the iterations done at its end and its median latency in seconds.
    """

    iterations: int
    wall_s: float
    settled: bool | None
    curve: tuple[tuple[float, ...], ...]

    @classmethod
    def from_json(cls, value: Any) -> Warmup:
        """The warm-up that a worker reported.

        Raises:
            ValueError: a member is missing or malformed.
        """
        if not isinstance(value, Mapping):
            raise ValueError("must be an object")  # noqa: TRY004 - a file's content is a value
        curve = value.get("curve")
        if type(value.get("iterations")) is not int or type(value.get("wall_s")) not in {int, float}:
            raise ValueError("iterations and wall_s must be numbers")
        if not isinstance(curve, list) or not all(isinstance(window, list) and len(window) == 2 for window in curve):
            raise ValueError("curve must be a list of pairs")
        return cls(
            iterations=value["iterations"],
            wall_s=value["wall_s"],
            settled=value.get("settled"),
            curve=tuple(map(tuple, curve)),
        )
