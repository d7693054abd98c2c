"""`isobench sweep --dry-run`: what would be measured, what would be made before, and how long it would take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from isobench.executors.foresight import Foreseen
    from isobench.sweeps.estimate import Estimate
    from isobench.sweeps.task import Sweep


MOST_NAMES = 10


def show(sweep: Sweep, *, as_json: bool) -> None:
    """Print it; nothing is run or made."""
    from contextlib import chdir

    from isobench.executors import foresight
    from isobench.reports import plans
    from isobench.sweeps import history

    with chdir(sweep.working_folder):  # builds of scripts are cached by the folder that they run in
        foreseen = foresight.foresee(sweep.tasks)
    estimate = history.stored().of(foreseen.tasks)
    if as_json:
        import json

        click.echo(json.dumps(_json(sweep, foreseen, estimate), indent=1))
        return
    click.echo(plans.heading(sweep))
    click.echo()
    click.echo(plans.cases(sweep))
    click.echo()
    for what, missing in (("environments", foreseen.environments), ("builds", foreseen.builds)):
        if missing:
            click.echo(f"made first, {what}: {_some(missing)}")
    more = ", and the time to make what is missing" if foreseen.environments or foreseen.builds else ""
    click.echo(f"estimate: {plans.estimated(estimate)}{more}")
    click.echo("nothing was run", err=True)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _json(sweep: Sweep, foreseen: Foreseen, estimate: Estimate) -> dict[str, Any]:
    from dataclasses import asdict

    from isobench import codec

    return {
        "schema": "isobench.dry-run/1",
        "suite": sweep.suite,
        "tasks": [
            {
                "task": task.key,
                "label": task.label,
                "model": str(task.plan.models[0]),
                "runtimes": list(map(str, task.plan.runtimes)),
                "device": task.plan.device,
                "axes": dict(task.plan.sweep.axes),
                "labels": dict(task.plan.sweep.labels),
                "repeat": task.plan.sweep.repeat,
                "settings": codec.encode(task.plan.settings),
                "case_keys": [case.case_key for case in task.cases],
            }
            for task in foreseen.tasks
            if task.plan.sweep
        ],
        "missing": {"environments": list(foreseen.environments), "builds": list(foreseen.builds)},
        "estimate": asdict(estimate),
    }
