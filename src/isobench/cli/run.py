"""`isobench run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isobench.cli.parameters import (
    WAIT,
    environment_options,
    given_inputs,
    input_options,
    script_options,
    settings_options,
)
from isobench.cli.words import DEVICE, RT_ARGS, RUNTIMES, WordsCommand
from isobench.planning.retry import Retry

if TYPE_CHECKING:
    from isobench.results import SavedResult

WRONG_OUTPUTS = 7
"""Exit code: everything was measured, but some outputs are wrong."""


@click.command(cls=WordsCommand)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@RUNTIMES
@DEVICE
@RT_ARGS
@settings_options()
@click.option("--interleave", "interleaved", is_flag=True, help="Measure all cases block by block, in random order.")
@WAIT
@environment_options
@script_options
@input_options
@click.option("--label", "labels", multiple=True, metavar="KEY::VALUE", help="Only scripts that carry this label.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Save results in this folder.")
@click.option("--resume", is_flag=True, help="Don't measure again what has a result of this machine: show that.")
@click.option(
    "--retry",
    type=click.Choice([str(retry) for retry in Retry]),
    default=str(Retry.NONE),
    help="With --resume: measure again what failed because of the machine (infrastructure), what failed, or all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def run(
    models: tuple[str, ...],
    runtimes: tuple[str, ...],
    device: str,
    rt_args: tuple[str, ...],
    interleaved: bool,
    wait: bool,
    script_args: tuple[str, ...],
    labels: tuple[str, ...],
    output: Path | None,
    resume: bool,
    retry: str,
    as_json: bool,
    **settings: Any,
) -> int:
    """Measure models on runtimes.

    A MODEL is a Python script (model.py, or model.py::HASH for one of its models), an .onnx file, a glob, or a .txt
    list of these. Each model is measured on each runtime, one after the other. Each result is saved as soon as it is
    measured.
    """
    from isobench import api
    from isobench.console import Console
    from isobench.runtimes.keywords import from_words

    given = given_inputs(settings)
    plan = api.plan(
        models,
        runtimes=runtimes,
        device=device,
        rt_args=from_words(rt_args),
        interleaved=interleaved,
        wait=wait,
        script_args=script_args,
        labels=labels,
        results=output.absolute() if output else None,
        **given,
        **settings,
    )
    console = Console()
    saved = list(api.measure(plan, console, resume=resume, retry=retry))
    console.clear()
    return show(saved, as_json=as_json)


def show(saved: Sequence[SavedResult], *, as_json: bool) -> int:
    """Print the results, and return the exit code."""
    if as_json:
        import json

        click.echo(json.dumps([one.result.to_json() for one in saved], indent=1))
    else:
        from isobench.reports import table

        click.echo(table.run_table([one.result for one in saved]))
        click.echo(f"\nresults in {saved[0].folder.parent}")
        for one in saved:
            click.echo(f"  {one.folder.name}")
        sys.stdout.flush()
    return _exit_code([one.result for one in saved])


def _exit_code(results: list[object]) -> int:
    from isobench.results import Failed, Result

    code = 0
    for result in results:
        assert isinstance(result, Result)
        if isinstance(result.outcome, Failed):
            return result.outcome.exit_code
        if not result.outcome.correctness.ok:
            code = WRONG_OUTPUTS
    return code
