from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from sample_blocks import QUIET

from isobench.analysis.intervals import Interval, _points, intervals_of, replicates, unseen
from isobench.analysis.noise import Block, Verdict, select, used_samples, verdict
from isobench.analysis.ratios import middle, paired, unpaired
from isobench.analysis.summary import quantile, summarize
from isobench.codec import decode


def block(**changes: Any) -> Block:
    found: Block = decode(Block, {**QUIET, "cpu_own_s": 0.2, **changes}, "block")
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99, 100, 101])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.95, 0.99, 1])
def test_quantiles_are_numpys(count: int, share: float) -> None:
    values = sorted(np.random.default_rng(count).lognormal(size=count).tolist())
    assert math.isclose(quantile(values, share), np.quantile(values, share), rel_tol=1e-12)


def test_a_summary_is_in_seconds() -> None:
    summary = summarize([3_000_000, 1_000_000, 2_000_000, 10_000_000])
    assert summary.iterations == 4
    assert summary.mean_s == pytest.approx(0.004)
    assert summary.median_s == summary.p50_s == pytest.approx(0.0025)
    assert (summary.min_s, summary.max_s) == (0.001, 0.01)
    assert summary.stdev_s == pytest.approx(np.std([0.003, 0.001, 0.002, 0.01], ddof=1))
    assert summary.throughput_ips == pytest.approx(250)


def test_one_iteration_has_no_spread() -> None:
    assert summarize([5]).stdev_s == 0


def test_no_iteration_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


def evaluate(blocks: list[Block], wrong: tuple[str, ...] = (), *, resolution_s: float = 0.0) -> Verdict:
    share = select(blocks, resolution_s=resolution_s).clean_share
    return verdict(blocks, wrong, iterations=100, total_s=0.1, clean_share=share)


def test_a_quiet_measurement_is_clean() -> None:
    assert evaluate([block()]) == Verdict(status="clean")


def test_wrong_outputs_make_it_invalid_whatever_else() -> None:
    found = evaluate([block(cpu_others_s=1)], ("output y must have shape [2], got [1]",))
    assert found.status == "invalid"
    assert found.reasons[0] == "output y must have shape [2], got [1]"
    assert len(found.reasons) == 2


def test_others_on_the_machine_make_it_noisy() -> None:
    found = evaluate([block(cpu_others_s=0.05)] * 4 + [block()])
    assert found.status == "noisy"
    assert found.reasons == (
        "others used the machine in 80% of the time (0.40 cores on average, 0.0% stolen by the hypervisor)",
    )


@pytest.mark.parametrize("evidence", [{"cpu_others_s": 0.0111}, {"steal_s": 0.003}, {"throttled_s": 0.001}])
def test_a_block_is_disturbed_by_others_by_steal_and_by_throttling(evidence: dict[str, float]) -> None:
    assert block(**evidence).disturbed(0.0)
    assert not block(**evidence).disturbed(0.01), "less than the counters' resolution is ignored"


def test_a_little_noise_is_tolerated() -> None:
    assert not block(cpu_others_s=0.009, steal_s=0.001).disturbed(0.0)


def test_the_kernels_own_ticks_are_not_counted_as_others() -> None:
    on_64_cores = {"cpu_own_s": 6.4, "cpu_others_s": 0.04}
    assert not block(**on_64_cores).disturbed(0.0)
    assert block(**{**on_64_cores, "cpu_others_s": 0.05}).disturbed(0.0)


def test_disturbed_blocks_are_set_aside_with_their_samples() -> None:
    blocks = [block(), block(cpu_others_s=1), block()]
    selection = select(blocks, resolution_s=0.0)
    assert selection.used == (True, False, True)
    assert selection.set_aside_s == pytest.approx(0.1)
    assert selection.clean_share == pytest.approx(2 / 3)
    assert used_samples(list(range(30)), blocks, selection.used) == [*range(10), *range(20, 30)]


def test_with_too_little_clean_time_nothing_is_set_aside() -> None:
    selection = select([block(cpu_others_s=1)] * 4 + [block()], resolution_s=0.0)
    assert selection.used == (True,) * 5
    assert selection.set_aside_s == 0
    assert selection.clean_share == pytest.approx(0.2)


def test_selection_can_be_switched_off() -> None:
    selection = select([block(), block(cpu_others_s=1)], resolution_s=0.0, enabled=False)
    assert (selection.used, selection.set_aside_s) == ((True, True), 0.0)
    assert selection.clean_share == pytest.approx(0.5)


def test_without_blocks_all_samples_are_used() -> None:
    assert used_samples([1, 2], (), ()) == [1, 2]
    assert select((), resolution_s=0.0).clean_share == 1


def test_a_measurement_that_is_too_short_says_how_many_iterations_it_takes() -> None:
    found = verdict([block()], (), iterations=100, total_s=0.0005)
    assert found.status == "noisy"
    [reason] = found.reasons
    assert reason.startswith("100 iterations lasted only 0.5 ms, too short to be repeatable: use --iterations 20000")
    [reason] = verdict([block()], (), iterations=7, total_s=0.003).reasons
    assert reason.endswith("use --iterations 300, or omit it"), "234 rounded up"


def test_a_result_that_is_bound_by_page_faults_says_so_and_is_clean() -> None:
    found = evaluate([block(minor_faults=180_000)])
    assert found.status == "clean"
    assert found.reasons == ("bound by page faults, 18,000 per iteration: its memory is mapped again each time",)


def test_groups_are_counted_in_iterations_and_reported_per_inference() -> None:
    summary = summarize([2_000_000, 4_000_000], group=2)
    assert (summary.iterations, summary.mean_s) == (4, pytest.approx(0.0015))


def simulated(runs: int, blocks: int, *, between: float, within: float, seed: int) -> list[list[list[float]]]:
    """Runs whose true median is 1: each is off by `between`, each of its blocks by `within`, iterations by 1 %."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        run = 1 + between * generator.standard_normal()
        centres = run * (1 + within * generator.standard_normal(blocks))
        found.append([(centre * (1 + 0.01 * generator.standard_normal(20))).tolist() for centre in centres])
    return found


@pytest.mark.parametrize("runs", [1, 2, 3, 5, 10])
def test_intervals_contain_the_truth_as_often_as_they_claim(runs: int) -> None:
    held = 0
    for seed in range(200):
        samples = simulated(runs, 10, between=0.03, within=0.01, seed=seed)
        interval = intervals_of(samples, floor=0.03, seed=seed)["median_s"]
        held += interval.low <= 1 <= interval.high
    # Nominally 95 %; the standard deviation of 200 tries is 1.5 %.
    assert 0.91 <= held / 200 <= 0.99


def test_an_interval_from_pooled_iterations_would_be_far_too_narrow() -> None:
    samples = simulated(1, 10, between=0.03, within=0.01, seed=5)
    pooled = np.concatenate(samples[0])
    naive = 1.96 * pooled.std(ddof=1) / math.sqrt(len(pooled))
    assert intervals_of(samples)["mean_s"].relative(1.0) > 10 * naive


def test_more_runs_make_an_interval_narrower_and_the_same_seed_makes_the_same() -> None:
    few, many = (simulated(runs, 5, between=0.03, within=0.01, seed=1) for runs in (2, 20))
    assert intervals_of(many)["median_s"].relative(1) < intervals_of(few)["median_s"].relative(1) / 2
    assert intervals_of(few, seed=3) == intervals_of(few, seed=3)
    assert intervals_of(few, seed=3) != intervals_of(few, seed=4)


def test_many_samples_are_thinned_without_moving_the_quantiles() -> None:
    generator = np.random.default_rng(0)
    blocks = [generator.lognormal(0, 0.1, 30_000).tolist() for _ in range(4)]
    found = intervals_of([blocks], floor=0.0)
    for name, share in (("median_s", 0.5), ("p90_s", 0.9), ("p99_s", 0.99)):
        truth = float(np.quantile(np.concatenate(blocks), share))
        assert found[name].low * 0.99 < truth < found[name].high * 1.01


def test_blocks_of_different_sizes_keep_their_shares_when_thinned() -> None:
    """A tenth of all samples is in the slow block, however few of them remain."""
    blocks = [np.full(90_000, 1.0), np.full(10_000, 2.0)]
    points, owners, counts = _points(blocks)
    assert len(points) < 30_000
    assert counts[owners == 1].sum() == pytest.approx(10_000)
    assert counts.sum() == pytest.approx(100_000)


def test_the_variance_that_runs_cannot_show_shrinks_with_each_run() -> None:
    shares = [unseen(runs, 0.02) / 0.02 for runs in (1, 2, 3, 10)]
    assert shares == pytest.approx([1, (3 / 8) ** 0.5, (3 / 15) ** 0.5, (3 / 120) ** 0.5])


def test_an_intervals_width_is_relative_to_its_figure() -> None:
    assert Interval(low=3.8, high=4.2).relative(4.0) == pytest.approx(0.05)


def test_very_many_blocks_are_resampled_in_stretches_without_moving_the_interval() -> None:
    generator = np.random.default_rng(3)
    level = 1 + 0.01 * generator.standard_normal(4000)
    runs = [[list(level[block] + 0.001 * generator.standard_normal(3)) for block in range(4000)]]
    drawn = replicates(runs, floor=0.0, seed=0)
    assert drawn[:, 0].std() == pytest.approx(0.01 / 4000**0.5, rel=0.2)
    tracemalloc.start()
    replicates(runs, floor=0.0, seed=0)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 200e6, "a column for each block would take 400 MB"


def test_a_block_with_a_member_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="steal_s"):
        block(steal_s="much")  # type: ignore[arg-type]


def interleaved(
    pairs: int, rounds: int, *, ratio: float, between: float, within: float, seed: int
) -> list[list[tuple[float, float]]]:
    """Rounds of two: drift is common to both, `between` is each pair of processes' own, `within` each block's."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(pairs):
        own = ratio * math.exp(between * generator.standard_normal())
        drift = np.exp(np.cumsum(0.02 * generator.standard_normal(rounds)))
        noise = np.exp(within * generator.standard_normal((2, rounds)))
        found.append(list(zip((drift * noise[0]).tolist(), (own * drift * noise[1]).tolist(), strict=True)))
    return found


@pytest.mark.parametrize("pairs", [1, 3, 8])
def test_the_ratio_of_two_interleaved_contains_the_truth_as_often_as_it_claims(pairs: int) -> None:
    held = 0
    for seed in range(200):
        found = paired(interleaved(pairs, 30, ratio=1.03, between=0.01, within=0.02, seed=seed), floor=0.01, seed=seed)
        held += found.within.low <= 1.03 <= found.within.high
    assert 0.91 <= held / 200 <= 0.99


def test_drift_that_both_share_cancels_in_their_ratio() -> None:
    found = paired(interleaved(3, 50, ratio=1.05, between=0.0, within=0.005, seed=2), floor=0.001)
    assert found.value == pytest.approx(1.05, abs=0.005)
    assert found.within.relative(found.value) < 0.005


def test_one_disturbed_round_does_not_move_the_ratio() -> None:
    """One block of 13 took 1.57 times as long, as was observed: the mean of the logarithms would be 3.5 % off."""
    rounds = interleaved(1, 13, ratio=1.0, between=0.0, within=0.002, seed=6)
    calm = paired(rounds, floor=0.0)
    first, second = rounds[0][7]
    rounds[0][7] = (first, 1.57 * second)
    found = paired(rounds, floor=0.0)
    assert found.value == pytest.approx(calm.value, abs=0.001)
    assert found.within.low < 1 < found.within.high
    assert found.within.relative(1) < 0.005


def test_the_middle_half_is_what_counts() -> None:
    assert middle([9, 1, 2, 3, 4, 5, 6, -70]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert middle([1, 2, 3, 4, 50]) == pytest.approx((0.75 * 2 + 3 + 0.75 * 4) / 2.5)
    assert [middle([7.0]), middle([1.0, 2.0])] == [7, 1.5]


def test_very_many_rounds_take_little_memory() -> None:
    rounds = interleaved(1, 15_000, ratio=1.02, between=0.0, within=0.02, seed=7)
    tracemalloc.start()
    found = paired(rounds, floor=0.0)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.within.low < 1.02 < found.within.high
    assert used < 150e6, "all weights at once would take several times 120 MB"


def test_a_pair_of_processes_counts_as_one_however_many_rounds_it_had() -> None:
    pairs = [[(1.0, 1.0)] * 40, [(1.0, 1.21)] * 10]
    assert paired(pairs, floor=0.0).value == pytest.approx(1.1)


def test_rounds_that_are_like_their_neighbours_make_a_wider_interval() -> None:
    generator = np.random.default_rng(4)
    noise = np.zeros(216)
    for index in range(1, len(noise)):
        noise[index] = 0.8 * noise[index - 1] + 0.01 * generator.standard_normal()
    alike, shuffled = (
        paired([[(1.0, math.exp(each)) for each in order]], floor=0.0)
        for order in (noise, generator.permutation(noise))
    )
    assert alike.value == pytest.approx(shuffled.value)
    # Stretches of six rounds: their mean varies 2.0 times as much as that of six independent rounds.
    assert 1.6 < alike.within.relative(1) / shuffled.within.relative(1) < 2.6


def test_the_ratio_of_two_at_different_times_is_the_seconds_over_the_firsts() -> None:
    first, second = (simulated(3, 10, between=0.001, within=0.001, seed=seed) for seed in (1, 2))
    slower = [[[1.2 * sample for sample in samples] for samples in run] for run in second]
    found = unpaired(first, slower, floor=0.001)
    assert found.value == pytest.approx(1.2, rel=0.005)
    assert 1.19 < found.within.low < 1.2 < found.within.high < 1.21


def test_the_ratio_of_two_at_different_times_is_as_wide_as_their_runs_differ() -> None:
    first, second = (simulated(3, 10, between=0.03, within=0.01, seed=seed) for seed in (1, 2))
    found = unpaired(first, second, floor=0.03)
    assert found.within.low < 1 < found.within.high
    assert found.within.relative(found.value) > 0.03
