"""Figures as people read them: as many digits as mean something, and a unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isobench.escapes import one_line


def milliseconds(seconds: float) -> str:
    """Four significant digits, without a unit: 0.003217, 3.217, 321.7."""
    value = seconds * 1000
    decimals = 1 if value >= 100 else 2 if value >= 10 else 3 if value >= 1 else 4 if value >= 0.1 else 5
    return f"{value:.{decimals}f}"


def percent(share: float) -> str:
    """A share with two significant digits: 0.35%, 3.5%, 35%."""
    value = share * 100
    return f"{value:.2f}%" if value < 1 else f"{value:.1f}%" if value < 10 else f"{value:.0f}%"


def rate(per_second: float) -> str:
    """Inferences per second: 12,345 or 41.3 or 0.250."""
    if per_second >= 1000:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}" if per_second >= 10 else f"{per_second:#.3g}"


def count(number: int) -> str:
    """A large number, rounded: 11.7 M."""
    for size, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {name}"
    return str(number)


def duration(seconds: float) -> str:
    """A time as people say it: 2.1 s, 45 s, 12 min, 3 h 20 min."""
    return f"{seconds:.1f} s" if seconds < 9.95 else about(seconds)


def about(seconds: float) -> str:
    """A time that is only estimated, to whole seconds, minutes, or hours and minutes."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def plural(number: int, word: str) -> str:
    """1 case, 2 cases."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def threads(number: int) -> str:
    """1 thread, 2 threads."""
    return f"{number} thread{'s' if number > 1 else ''}"


def figure(value: object) -> str:
    """A figure of a runtime's own, whatever it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def pairs(values: Mapping[str, object]) -> str:
    """Names with values, in the notation of a script's labels and of --rt-args: key::value key::value."""
    return " ".join(f"{name}::{value}" for name, value in values.items())


def indented(text: str) -> str:
    """The text, each line indented by four spaces."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def aligned(names: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each name and its text; those without a text are left out."""
    shown = [(one_line(name), text) for name, text in names if text]
    width = max(len(name) for name, _ in shown)
    return [f"{name:{width}}  {one_line(text)}" for name, text in shown]
