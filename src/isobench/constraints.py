"""What a member of a record may be, beside its type: a part of its annotation, which `codec` checks.

`mean_s: Positive` is a float above 0; `status: Annotated[str, OneOf("clean", "noisy")]` is one of two words.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

MOST_SHOWN = 80
"""Characters of a value that a message shows."""


class Within:
    """The range of a number: `least` and `most` are allowed, `above` isn't."""

    def __init__(self, least: float = -math.inf, most: float = math.inf, *, above: float = -math.inf) -> None:
        self.least, self.most, self.above = least, most, above

    def __call__(self, value: Any) -> str:
        """What a value must be; "" if it is."""
        if self.above < value and self.least <= value <= self.most:
            return ""
        limits = (("at least", self.least), ("at most", self.most), ("above", self.above))
        return " and ".join(f"{word} {limit:g}" for word, limit in limits if math.isfinite(limit))


class OneOf:
    """A text that is one of a few."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, value: Any) -> str:
        """What a value must be; "" if it is."""
        return "" if value in self.words else f"one of {', '.join(self.words)}"


class InZone:
    """A time in ISO 8601, with its time zone."""

    def __call__(self, value: Any) -> str:
        """What a value must be; "" if it is."""
        from datetime import datetime  # slow to import

        try:
            if datetime.fromisoformat(value).tzinfo is not None:
                return ""
        except ValueError:
            pass
        return "a time in ISO 8601 with its zone"


Count = Annotated[int, Within(0)]
PositiveCount = Annotated[int, Within(1)]
Amount = Annotated[float, Within(0, 1e18)]
"""Of energy, power, clocks, temperature: sums of them are finite, too."""
Seconds = Annotated[float, Within(0, 1e9)]
Positive = Annotated[float, Within(above=0)]
Deviation = Annotated[float, Within(0, 10)]
"""Relative to the mean."""
Share = Annotated[float, Within(0, 1 + 1e-9)]
"""Of a whole; a sum of shares is rounded."""
Time = Annotated[str, InZone()]


def shown(value: Any, *, plain: bool = False, most: int = MOST_SHOWN) -> str:
    """A value in a message, cut where it is long; a text without quotes if `plain`."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    text = value if plain and isinstance(value, str) else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
