"""Two Results -> which is faster, by how much, and whether the difference is significant at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from isobench import results
from isobench.analysis import ratios
from isobench.analysis.ratios import Ratio
from isobench.errors import ResultError
from isobench.record import record
from isobench.results import Measured, Result, Run, SavedResult, noise_floor

if TYPE_CHECKING:
    import numpy as np

    from isobench.results.row import Row

    Array = np.ndarray[Any, Any]

SMALL = 0.05
"""An interval within this distance of no difference is reported as no difference; a wider one is inconclusive."""
LEAST_ROUNDS = 3
"""With fewer rounds in which both blocks are clean, all rounds are used."""


@record(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The second Result compared with the first. `paired`: they were interleaved, and neighbours in time compared.

    `verdict` is "faster", "slower", "same" or "unknown". No difference below `floor` is claimed. `differences` are
    further differences between the two, so that the ratio may be due to them.
    """

    first: str
    second: str
    ratio: Ratio
    paired: bool
    floor: float
    verdict: str
    differences: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The verdict as a sentence."""
        low, high = self.ratio.within.low, self.ratio.within.high
        between = f"ratio {self.ratio.value:.4f}, 95 % interval {low:.4f} to {high:.4f}"
        if self.verdict == "same":
            most = max(abs(low - 1), abs(high - 1), self.floor)
            return f"no difference larger than {most:.1%} between {self.second} and {self.first} ({between})"
        if self.verdict == "unknown":
            return f"inconclusive: {self.second} may be faster or slower than {self.first} ({between})"
        return f"{self.second} is {abs(self.ratio.value - 1):.1%} {self.verdict} than {self.first} ({between})"


def compare(first: SavedResult, second: SavedResult) -> Comparison:
    """Compare two measured Results by their samples.

    Raises:
        ResultError: one of them failed, or its samples are missing or corrupted.
    """
    one, other = first.result, second.result
    measured = [_measured(result) for result in (one, other)]
    floor = noise_floor.floor()
    seed = one.settings.seed
    blocks = [_blocks_s(each) for each in (first, second)]
    turns = [each.turns for each in measured]
    paired = turns[0] is not None and turns[1] is not None and turns[0].id == turns[1].id
    if paired:
        ratio = ratios.paired(_pairs(measured, blocks), floor=floor.pairs, seed=seed)
    else:
        used = [_used(each, runs) for each, runs in zip(measured, blocks, strict=True)]
        ratio = ratios.unpaired(used[0], used[1], floor=floor.runs, seed=seed)
    least = floor.pairs if paired else floor.runs
    return Comparison(
        first=_name(one, other),
        second=_name(other, one),
        ratio=ratio,
        paired=paired,
        floor=least,
        verdict=_verdict(ratio, least),
        differences=tuple(_differences(one, other)),
    )


def log_ratios(first: SavedResult, second: SavedResult) -> list[float]:
    """The logarithm of the ratio in each pair of processes of two interleaved Results, as `ratios.paired` uses it."""
    both = (first, second)
    pairs = _pairs([_measured(one.result) for one in both], [_blocks_s(one) for one in both])
    return [ratios.middle([math.log(after / before) for before, after in rounds]) for rounds in pairs]


def match(first: Sequence[Row], second: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Pairs of Results of the same model, runtime and device; of several on one side, the newest.

    Two sweeps' Results are of the same point of the matrix, too.
    """
    ours, theirs = _newest(first, second)
    return [(ours[key], theirs[key]) for key in ours if key in theirs]


def unmatched(first: Sequence[Row], second: Sequence[Row]) -> list[Row]:
    """The Results of the first side that have no counterpart on the second."""
    ours, theirs = _newest(first, second)
    return [ours[key] for key in ours if key not in theirs]


def _newest(*sides: Sequence[Row]) -> list[dict[tuple[object, ...], Row]]:
    """The newest measured Result of each Case on each side."""
    with_axes = all(any(row.axes for row in side) for side in sides)
    found: list[dict[tuple[object, ...], Row]] = []
    for side in sides:
        newest: dict[tuple[object, ...], Row] = {}
        for row in side:
            key = (*row.match, *(sorted(map(str, row.axes.items())) if with_axes else ()))
            if row.status == "measured" and (key not in newest or newest[key].name < row.name):
                newest[key] = row
        found.append(newest)
    return found


def _measured(result: Result) -> Measured:
    if not isinstance(result.outcome, Measured):
        raise ResultError(f"{result.id} can't be compared, because it failed: {result.outcome.message}")
    return result.outcome


def _blocks_s(saved: SavedResult) -> list[list[Array]]:
    """For each run, its blocks in seconds per inference; one block where the worker reported none."""
    import numpy as np

    found = []
    if saved.folder is None:
        raise ResultError(f"{saved.result.id} can't be compared: {saved.problem}")
    samples_of_runs = results.samples_ns(saved.result, saved.folder)
    for run, samples_ns in zip(_measured(saved.result).runs, samples_of_runs, strict=True):
        ends = np.cumsum([block.samples for block in run.blocks])[:-1]
        blocks = np.split(np.asarray(samples_ns) / (run.group * 1e9), ends)
        if any(not block.size or np.median(block) <= 0 for block in blocks):
            raise ResultError(f"{saved.result.id} can't be compared: the median of a block of its samples is 0")
        found.append(blocks)
    return found


def _used(outcome: Measured, runs: Sequence[Sequence[Array]]) -> list[list[Array]]:
    return [
        [block for block, used in zip(blocks, *_flags(run), strict=True) if used]
        for run, blocks in zip(outcome.runs, runs, strict=True)
    ]


def _flags(*runs: Run) -> list[tuple[bool, ...]]:
    """For each run, the flags of its blocks: is it used?"""
    return [run.used or (True,) for run in runs]


def _pairs(
    outcomes: Sequence[Measured], blocks: Sequence[Sequence[Sequence[Array]]]
) -> list[list[tuple[float, float]]]:
    """For each pair of processes, the medians of both blocks of each round in which both are clean."""
    import numpy as np

    counts = [[len(run) for run in one] for one in blocks]
    if counts[0] != counts[1]:
        raise ResultError(f"interleaved results must have equally many blocks, got {counts[0]} and {counts[1]}")
    found = []
    for one, other, ones, others in zip(outcomes[0].runs, outcomes[1].runs, *blocks, strict=True):
        medians = [[float(np.median(block)) for block in run] for run in (ones, others)]
        rounds = [*zip(*medians, strict=True)]
        clean = [pair for pair, *used in zip(rounds, *_flags(one, other), strict=True) if all(used)]
        found.append(clean if len(clean) >= LEAST_ROUNDS else rounds)
    return found


def _verdict(ratio: Ratio, floor: float) -> str:
    low, high = ratio.within.low, ratio.within.high
    if low > 1 and ratio.value > 1 + floor:
        return "slower"
    if high < 1 and ratio.value < 1 - floor:
        return "faster"
    return "same" if max(abs(low - 1), abs(high - 1)) <= SMALL else "unknown"


def _name(result: Result, beside: Result) -> str:
    """What distinguishes it from the other: the runtime, the model, what was done to the model, or else the id."""
    if result.runtime.label != beside.runtime.label:
        return result.runtime.label
    if (result.model.name, result.model.hash) != (beside.model.name, beside.model.hash):
        return f"{result.model.name}::{result.model.hash}"
    if result.altered != beside.altered:
        return result.altered or "the unchanged model"
    return result.id


def _differences(first: Result, second: Result) -> Iterable[str]:
    """What else differs, so that the ratio may be due to that instead."""
    one, other = _measured(first), _measured(second)
    facts = [
        ("steps before measuring", first.altered, second.altered),
        ("inputs", first.model.inputs_sha256, second.model.inputs_sha256),
        ("timing contract", one.facts.get("timing"), other.facts.get("timing")),
        ("machine", _machine(first), _machine(second)),
        ("device", first.device.device, second.device.device),
        ("threads", one.runs[0].threads_asked(first.settings), other.runs[0].threads_asked(second.settings)),
        ("resources", first.settings.resources, second.settings.resources),
        ("heap", first.settings.heap, second.settings.heap),
    ]
    if first.runtime.name == second.runtime.name:
        facts.append(("environment", _environment(first), _environment(second)))
    if _chosen_arguments(first) == _chosen_arguments(second):
        facts.append(("arguments", dict(first.runtime.arguments), dict(second.runtime.arguments)))
    for what, mine, its in facts:
        if mine != its:
            yield f"{what}: {_short(mine)} / {_short(its)}"
    for result, outcome in ((first, one), (second, other)):
        if not outcome.correctness.ok:
            yield f"the outputs of {result.id} are wrong"


def _chosen_arguments(result: Result) -> tuple[str, str]:
    """The runtime without its variant, and the arguments that the user gave it: `ort`, `[spinning=False]`."""
    runtime = result.runtime
    return runtime.name.partition("@")[0], runtime.label.removeprefix(runtime.name)


def _machine(result: Result) -> str:
    return result.provenance.machine or "?"


def _environment(result: Result) -> str:
    environment = result.environment
    return f"{environment.name} {environment.identity[:12]}" if environment else "none"


def _short(value: object) -> str:
    text = str(value) or "none"
    return f"{text[:12]}..." if len(text) == 64 else text
