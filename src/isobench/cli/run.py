"""`isobench run`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isobench.cli.parameters import (
    environment_options,
    given_inputs,
    input_options,
    script_options,
    settings_options,
    wait_options,
)
from isobench.cli.words import DEVICE, RT_ARGS, RUNTIMES, WordsCommand
from isobench.planning.retry import Retry

if TYPE_CHECKING:
    from isobench.console import Console
    from isobench.results import SavedResult


@click.command(cls=WordsCommand)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@RUNTIMES
@DEVICE
@RT_ARGS
@settings_options()
@click.option("--interleave", "interleaved", is_flag=True, help="Measure all cases block by block, in random order.")
@wait_options
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
    wait: bool | float,
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
    return finish(api.measure(plan, console, resume=resume, retry=retry), console, as_json=as_json)


def finish(measuring: Iterable[SavedResult], console: Console, *, as_json: bool) -> int:
    """Measure, print the results, and return the exit code. If something ends it early, what is done is printed."""
    saved: list[SavedResult] = []
    try:
        for one in measuring:
            saved.append(one)  # noqa: PERF402 - those before an exception are needed
    finally:
        console.clear()
        if saved:
            _show(saved, as_json=as_json)
    return _exit_code(saved)


def _show(saved: Sequence[SavedResult], *, as_json: bool) -> None:

    if as_json:
        import json

        click.echo(json.dumps([_json(one) for one in saved], indent=1))
        return
    from isobench.reports import table

    click.echo(table.run_table([one.result for one in saved]))
    folders = [one.folder for one in saved if one.folder is not None]
    if folders:
        click.echo(f"\nresults in {folders[0].parent}")
    for folder in folders:
        click.echo(f"  {folder.name}")
    for problem in dict.fromkeys(one.problem for one in saved if one.folder is None):
        click.echo(f"\nnot saved: {problem}")


def _json(one: SavedResult) -> dict[str, Any]:
    """The Result; of one that couldn't be saved, the reason, too."""
    return one.result.to_json() | ({"not_saved": one.problem} if one.folder is None else {})


def _exit_code(saved: Sequence[SavedResult]) -> int:
    """Of the first Case that failed; else of the first whose outputs are wrong, or that can't be saved."""
    from isobench.failures import Ending, exit_code
    from isobench.results import Failed

    in_order = sorted((one.result for one in saved), key=lambda result: not isinstance(result.outcome, Failed))
    unsaved = exit_code(Ending.RESULT) if any(one.folder is None for one in saved) else 0
    return next((code for result in in_order if (code := exit_code(result.ending))), unsaved)
