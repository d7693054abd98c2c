"""`isobench compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isobench.cli.parameters import (
    PERCENT,
    environment_options,
    given_inputs,
    input_options,
    script_options,
    settings_options,
    wait_options,
)
from isobench.cli.words import DEVICE, MODEL_SUFFIXES, RT_ARGS, RUNTIMES, WordsCommand
from isobench.console import Console
from isobench.errors import ResultError, UsageError
from isobench.failures import SLOWER
from isobench.planning.settings import COMPARE_DEFAULTS
from isobench.record import record

if TYPE_CHECKING:
    from isobench.results import SavedResult
    from isobench.results.compare import Comparison
    from isobench.results.row import Row

HINT = "Give two models, or one model and two runtimes: -r ort -r torch-eager, or -r ort -r ort:spinning=false."


@click.command(cls=WordsCommand)
@click.argument("what", nargs=-1, required=True, metavar="FIRST [SECOND]")
@RUNTIMES
@DEVICE
@RT_ARGS
@settings_options(but=["iterations"], defaults=COMPARE_DEFAULTS)
@wait_options
@environment_options
@script_options
@input_options
@click.option("--anyway", is_flag=True, help="Compare results even if more differs, or if some are missing.")
@click.option(
    "--fail-if-slower",
    "limit",
    type=PERCENT,
    metavar="PERCENT",
    help=f"Exit with code {SLOWER} if SECOND is slower by more than this.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(
    what: tuple[str, ...],
    runtimes: tuple[str, ...],
    device: str,
    rt_args: tuple[str, ...],
    wait: bool | float,
    script_args: tuple[str, ...],
    anyway: bool,
    limit: float | None,
    as_json: bool,
    **settings: Any,
) -> int:
    """Is SECOND faster than FIRST, or slower, and by how much?

    \b
    isobench compare a.py b.py                              two models on one runtime, interleaved
    isobench compare model.py -r ort -r torch-eager         one model on two runtimes, interleaved
    isobench compare model.py -r ort -r ort:spinning=false  one model with two settings of a runtime
    isobench compare model.py -r ort -r ort@mine            one model in two environments (isobench env list)
    isobench compare ID_1 ID_2                              two results (ids, folders, result.json)
    isobench compare baseline/ results/                     two folders of results or sweeps, each model on each runtime

    Interleaved: each round measures a block of each, in random order, and blocks of the same round are compared.
    """  # noqa: D301 - click keeps the lines after \b
    found = _of_results(what, anyway, whole=limit is not None) if len(what) == 2 and not runtimes else None
    if found is None:
        from isobench import api
        from isobench.runtimes.keywords import from_words

        console = Console()
        given = given_inputs(settings)
        plan = api.plan(
            what,
            runtimes=runtimes,
            device=device,
            rt_args=from_words(rt_args),
            wait=wait,
            script_args=script_args,
            interleaved=True,
            **given,
            **settings,
        )
        if len(plan.models) * len(plan.runtimes) == 1 and not plan.models[0].is_script:
            raise UsageError(f"compare needs two cases, got one: {what[0]} on one runtime", hint=HINT)
        saved = list(api.measure(plan, console))
        console.clear()
        found = [_of_two(saved)]
    _show(found, as_json)
    too_slow = [one for one in found if limit is not None and one.verdict == "slower" and one.ratio.value > 1 + limit]
    return SLOWER if too_slow else 0


def _of_results(what: tuple[str, ...], anyway: bool, *, whole: bool) -> list[Comparison] | None:
    """Comparisons of saved results; None if `what` are models. `whole`: all results of the first must be compared."""
    from isobench.results import compare

    if any(Path(name.partition("::")[0]).suffix in MODEL_SUFFIXES for name in what):
        return None
    left_out: list[str] = []
    sides = [_side(name, left_out) for name in what]
    alone = all(len(side.rows) == 1 for side in sides)
    rows = (sides[0].rows, sides[1].rows)
    pairs = [(rows[0][0], rows[1][0])] if alone else compare.match(*rows)
    left_out += [
        f"{one.model}::{one.model_hash} on {one.label} is not measured in {what[1]}"
        for one in ([] if alone else compare.unmatched(*rows))
    ]
    found = []
    for one, other in pairs:
        try:
            found.append(compare.compare(sides[0].saved(one), sides[1].saved(other)))
        except ResultError as error:
            if alone:
                raise
            left_out.append(error.message)
    if left_out and whole and not anyway:
        raise ResultError(
            f"not all of {what[0]} can be compared",
            details="\n".join(left_out),
            hint="Measure what is missing, or add --anyway.",
        )
    for line in left_out:
        click.echo(f"warning: {line}", err=True)
    if not pairs:
        raise ResultError(f"{what[0]} and {what[1]} have no model and runtime in common")
    if not found:
        raise ResultError(f"no result of {what[0]} can be compared with one of {what[1]}")
    different = [line for one in found for line in one.differences]
    if different and not anyway:
        raise ResultError(
            "the results were not measured in the same way",
            details="\n".join(dict.fromkeys(different)),
            hint="Measure both with the same options, or add --anyway.",
        )
    return found


@record(frozen=True, slots=True, kw_only=True)
class _Side:
    """What one word names: one Result, or the newest of each Case in a folder of results or of a sweep."""

    root: Path
    rows: Sequence[Row]

    def saved(self, row: Row) -> SavedResult:
        from isobench import results

        folder = self.root / row.name
        return results.SavedResult(result=results.load(str(folder / results.RESULT_FILE)), folder=folder)


def _side(name: str, left_out: list[str]) -> _Side:
    """Whatever can't be read is added to `left_out`."""
    from isobench import results
    from isobench.results import row
    from isobench.results.index import Index
    from isobench.results.wanted import Wanted
    from isobench.sweeps.folder import results_in
    from isobench.system import reading

    place = Path(name)
    if not reading.is_folder(place) or (place / results.RESULT_FILE).exists():
        found = results.folder_of(name)
        return _Side(root=found.parent, rows=[row.of(results.load(name), found.name)])
    root = results_in(place)
    console = Console()
    with Index(root, console.stage) as index:
        console.clear()
        unreadable = index.names(Wanted(status=row.UNREADABLE))
        left_out += [one.message for one in index.rows(unreadable)]
        if index.count() - len(unreadable) == 1:  # whatever it is, it is meant
            names = [name for name in index.names() if name not in unreadable]
            return _Side(root=root, rows=list(index.rows(names)))
        return _Side(root=root, rows=index.newest_of_each())


def _of_two(saved: list[SavedResult]) -> Comparison:
    from isobench.results import compare

    if len(saved) != 2:
        names = ", ".join(f"{one.result.model.name} on {one.result.runtime.label}" for one in saved)
        raise UsageError(f"compare needs two cases, got {len(saved)}: {names}", hint=HINT)
    return compare.compare(*saved)


def _show(found: list[Comparison], as_json: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    for one in found:
        click.echo(one.sentence)
        how = "interleaved, block by block" if one.paired else "measured at different times"
        click.echo(f"  {how}; differences below {one.floor:.1%} are within the noise floor")
        for line in one.differences:
            click.echo(f"  also different: {line}")
