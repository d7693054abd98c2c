"""A sweep before anything runs: its cases, and how long they will take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from isobench.escapes import printable
from isobench.planning.settings import OPTIONS, Settings
from isobench.reports.format import about, plural
from isobench.reports.table import grid
from isobench.sweeps.estimate import Estimate
from isobench.sweeps.task import Sweep, Task


def cases(sweep: Sweep) -> str:
    """A table of what is measured: a row for each model, runtime and point of the matrix; repeats share theirs."""
    tasks = sweep.tasks
    axes = list(dict.fromkeys(name for task in tasks for name in _place(task).axes))
    labels = list(dict.fromkeys(name for task in tasks for name in _place(task).labels))
    several_devices = len({task.plan.device for task in tasks}) > 1
    settings = _differing([task.plan.settings for task in tasks], axes)
    rows: dict[tuple[str, ...], int] = {}
    for task in tasks:
        place = _place(task)
        cells = [
            task.plan.models[0].name + _suffix(task),
            (" and " if task.plan.interleaved else ", ").join(map(str, task.plan.runtimes)),
            *([task.plan.device] if several_devices else []),
            *(_text(place.axes.get(name)) for name in axes),
            *(_text(place.labels.get(name)) for name in labels),
            *(_option(name, task.plan.settings) for name in settings),
        ]
        rows[tuple(cells)] = rows.get(tuple(cells), 0) + 1
    headings = ["model", "runtime", *(["device"] if several_devices else []), *axes, *labels]
    headings += [OPTIONS[name].flag for name in settings]
    left = [True] * (len(headings) - len(settings) - len(axes) - len(labels)) + [
        not _numeric(row[place] for row in rows)
        for place in range(len(headings) - len(settings) - len(axes) - len(labels), len(headings))
    ]
    lines: list[list[str]] = [list(row) for row in rows]
    if any(count > 1 for count in rows.values()):
        headings.append("repeats")
        left.append(False)
        lines = [[*row, str(count)] for row, count in rows.items()]
    return printable("\n".join(grid(headings, lines, left=left)))


def heading(sweep: Sweep) -> str:
    """What the sweep measures, in a line or two: counts, the order, the settings that all tasks share."""
    from pathlib import Path

    tasks = sweep.tasks
    models = plural(len({task.plan.models[0] and str(task.plan.models[0]) for task in tasks}), "model")
    runtimes = plural(len({str(one) for task in tasks for one in task.plan.runtimes}), "runtime")
    order = "in the order of the file" if sweep.order == "as-written" else f"in random order (seed {sweep.seed})"
    text = f"{Path(sweep.suite).name}: {plural(count(tasks), 'case')} of {models} on {runtimes}, {order}"
    shared = _shared([task.plan.settings for task in tasks])
    return printable(f"{text}\nall with {' '.join(shared)}" if shared else text)


def count(tasks: Iterable[Task]) -> int:
    """The number of cases; of tasks that aren't prepared, as many as they have runtimes."""
    return sum(len(task.cases) or len(task.plan.models) * len(task.plan.runtimes) for task in tasks)


def estimated(estimate: Estimate) -> str:
    """`12 min (20 cases from earlier results, 4 guessed)`."""
    parts = [
        (estimate.earlier, "from earlier results"),
        (estimate.similar, "from results of the same model and runtime"),
        (estimate.guessed, "guessed from the settings"),
    ]
    known = [f"{number} {how}" for number, how in parts if number]
    if known:
        known[0] = known[0].replace(" ", " cases " if not known[0].startswith("1 ") else " case ", 1)
    return f"{about(estimate.seconds)} ({', '.join(known)})" if known else "0 s"


def _place(task: Task) -> Any:
    assert task.plan.sweep is not None
    return task.plan.sweep


def _suffix(task: Task) -> str:
    chosen = task.plan.models[0].hash
    return f"::{chosen}" if chosen else ""


def _differing(settings: Sequence[Settings], axes: Sequence[str]) -> list[str]:
    """The settings that aren't the same for all, but for those that are axes already."""
    named = {name.removesuffix("_s").replace("-", "_") for name in axes}
    return [
        name
        for name in OPTIONS
        if name.removesuffix("_s") not in named and len({getattr(one, name) for one in settings}) > 1
    ]


def _shared(settings: Sequence[Settings]) -> list[str]:
    """The settings that all have, as they would be typed, where they aren't the default."""
    usual = Settings.of()
    return [
        f"{OPTIONS[name].flag} {_option(name, settings[0])}"
        for name in OPTIONS
        if len({getattr(one, name) for one in settings}) == 1 and getattr(settings[0], name) != getattr(usual, name)
    ]


def _option(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "-" if value is None else OPTIONS[name].shown(value)


def _numeric(texts: Iterable[str]) -> bool:
    return all(text == "-" or text.replace(".", "", 1).removesuffix("%").isdigit() for text in texts)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
