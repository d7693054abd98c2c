from __future__ import annotations

import math

import numpy as np
import pytest

from isobench.statistics import Block, quantile, summarize, verdict

LONG = [1_000_000] * 100


def block(**changes: float) -> Block:
    values = {
        "iterations": 10, "wall_s": 0.1, "cpu_own_s": 0.2, "cpu_others_s": 0.0, "steal_s": 0.0, "throttled_s": 0.0,
        "involuntary_switches": 0, "minor_faults": 0, "major_faults": 0,
    }  # fmt: skip
    return Block.from_json({**values, **changes})


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


def test_a_quiet_measurement_is_clean() -> None:
    assert verdict([block()], (), samples_ns=LONG).status == "clean"


def test_wrong_outputs_make_it_invalid_whatever_else() -> None:
    judged = verdict([block(cpu_others_s=1)], ("y has the shape [1], not [2]",), samples_ns=LONG)
    assert judged.status == "invalid"
    assert judged.reasons[0] == "y has the shape [1], not [2]"
    assert len(judged.reasons) == 2


def test_others_on_the_machine_make_it_noisy() -> None:
    judged = verdict([block(cpu_others_s=0.05), block()], (), samples_ns=LONG)
    assert judged.status == "noisy"
    assert judged.reasons == (
        "in 50% of the time others used the machine (0.50 cores on average, 0.0% stolen by the hypervisor)",
    )


def test_a_stolen_cpu_makes_it_noisy() -> None:
    assert verdict([block(steal_s=0.003)], (), samples_ns=LONG).status == "noisy"


@pytest.mark.parametrize("others", [0.0, 0.009])
def test_a_little_noise_is_borne(others: float) -> None:
    assert verdict([block(cpu_others_s=others)] * 10, (), samples_ns=LONG).status == "clean"


def test_a_quarter_of_the_time_may_be_contaminated() -> None:
    assert verdict([block(cpu_others_s=1), *[block()] * 3], (), samples_ns=LONG).status == "clean"
    assert verdict([block(cpu_others_s=1), *[block()] * 2], (), samples_ns=LONG).status == "noisy"


def test_less_than_the_counters_can_tell_is_not_held_against_anybody() -> None:
    blocks = [block(cpu_others_s=0.02)]
    assert verdict(blocks, (), samples_ns=LONG).status == "noisy"
    assert verdict(blocks, (), samples_ns=LONG, resolution_s=0.01).status == "clean"


def test_a_moment_is_too_short_and_says_how_long_it_takes() -> None:
    judged = verdict([block()], (), samples_ns=[5_000] * 100)
    assert judged.status == "noisy"
    assert judged.reasons == ("100 iterations lasted 0.5 ms together, too short to repeat: use --iterations 20000",)


def test_a_block_without_its_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="steal_s"):
        block(steal_s="much")  # type: ignore[arg-type]
