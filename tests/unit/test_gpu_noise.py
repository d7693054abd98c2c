"""Which blocks on a GPU are disturbed, and what is reported of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sample_blocks

from isobench.analysis.gpu_noise import GpuBlock, summarize_gpu
from isobench.analysis.noise import Block, select, verdict
from isobench.codec import decode

HOST = sample_blocks.QUIET | {"wall_s": 1.0, "cpu_own_s": 1.0}
QUIET = {
    "enqueue_s": 1e-5,
    "inferences": 21,
    "energy_j": 42.0,
    "slowed_s": 0.0,
    "capped_s": 0.0,
    "clock_reasons": 0,
    "clock_mhz": 1980,
    "power_w": 400.0,
    "temperature_c": 60,
    "others": 0,
    "others_utilization": 0.0,
}


def _block(*, wall_s: float = HOST["wall_s"], **gpu: Any) -> Block:
    found: Block = decode(Block, {**HOST, "wall_s": wall_s, "gpu": {**QUIET, **gpu}}, "block")
    return found


@pytest.mark.parametrize(
    "disturbed",
    [
        {"slowed_s": 0.02},  # by the GPU's own counter
        {"slowed_s": None, "clock_reasons": 0x20},  # heat, where it has none
        {"clock_reasons": 0x80 | 0x4},  # the power brake beside the power cap: the counter only covers heat
        {"slowed_s": None, "clock_reasons": 0x80},
        {"slowed_s": None, "clock_reasons": 0x40},
        {"slowed_s": None, "clock_reasons": 0x8},
        {"slowed_s": 0.0011, "wall_s": 0.1},  # more than a hundredth of the block
        {"others": 1, "others_utilization": 0.05},
    ],
)
def test_a_block_is_disturbed_by_heat_the_power_brake_and_others(disturbed: dict[str, Any]) -> None:
    assert _block(**disturbed).disturbed(0.01)


@pytest.mark.parametrize(
    "quiet",
    [
        {},
        {"slowed_s": 0.005, "clock_reasons": 0x20},  # the counter says how long: too short to be seen
        {"slowed_s": 0.0009, "wall_s": 0.1},
        {"capped_s": 1.0, "clock_reasons": 0x4},  # the work's own power
        {"others": 2, "others_utilization": 0.01},
        {"others": 1, "others_utilization": None},
        dict.fromkeys(set(QUIET) - {"enqueue_s", "inferences"}),  # a GPU that reports nothing
    ],
)
def test_a_block_is_not_disturbed_by_its_own_power_nor_by_idle_processes(quiet: dict[str, Any]) -> None:
    assert not _block(**quiet).disturbed(0.01)


def test_slowed_blocks_are_set_aside_and_too_many_of_them_are_reported() -> None:
    blocks = [_block(), *[_block(slowed_s=0.5)] * 2]
    assert select(blocks, resolution_s=0.01).used == (True, False, False)
    blocks = [_block(), *[_block(slowed_s=0.5, others_utilization=0.5)] * 9]
    selection = select(blocks, resolution_s=0.01)
    assert all(selection.used)
    found = verdict(blocks, [], iterations=100, total_s=10.0, clean_share=selection.clean_share, median_s=0.1)
    assert found.status == "noisy"
    assert "heat or its own protection slowed the GPU in 90% of the time" in found.reasons
    assert "others used the GPU in 90% of the time" in found.reasons


def test_a_bound_by_the_host_or_the_power_cap_is_reported_and_is_no_noise() -> None:
    blocks = [_block(enqueue_s=95e-6, capped_s=0.8, clock_mhz=1305)]
    found = verdict(blocks, [], iterations=100, total_s=10.0, median_s=100e-6)
    assert found.status == "clean"
    assert found.reasons == (
        (
            "bound by the host, which takes 95 \u00b5s to queue an inference of 100 \u00b5s: the GPU idles "
            "(use a CUDA graph or a larger batch)"
        ),
        "the GPU's power cap reduced its clocks in 100% of the time, to 1305 MHz at the lowest",
    )
    assert verdict([_block()], [], iterations=100, total_s=10.0, median_s=1e-3).reasons == ()
    seldom = [_block(capped_s=0.15), *[_block(capped_s=0.05)] * 9]  # a tenth of the blocks
    assert verdict(seldom, [], iterations=100, total_s=10.0, median_s=1e-3).reasons == ()
    often = [*[_block(capped_s=0.15)] * 2, *[_block(capped_s=0.05)] * 8]
    [reason] = verdict(often, [], iterations=100, total_s=10.0, median_s=1e-3).reasons
    assert reason.startswith("the GPU's power cap reduced its clocks in 20% of the time")


def test_energy_is_that_of_all_inferences_that_were_run() -> None:
    counted, lagging = _block().gpu, _block(energy_j=0.0, clock_mhz=1800, temperature_c=70).gpu
    assert counted is not None
    assert lagging is not None
    summary = summarize_gpu([counted, lagging, replace(counted, energy_j=None)])
    assert summary is not None
    assert summary.energy_per_inference_j == pytest.approx(1.0)
    assert (summary.clock_mhz_min, summary.clock_mhz_max, summary.power_w) == (1800, 1980, 400.0)
    assert summary.temperature_c_max == 70
    assert summarize_gpu([]) is None
    assert summarize_gpu([replace(counted, energy_j=None)]).energy_per_inference_j is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("gpu", "message"),
    [
        ({"inferences": 3}, "block.gpu: missing member enqueue_s"),
        ({**QUIET, "power_w": "much"}, "block.gpu.power_w must be float, got str"),
        ({**QUIET, "slowed_s": -1.0}, r"block.gpu.slowed_s must be at least 0 .*, got -1.0"),
        ("H100", "block.gpu must be dict, got str"),
    ],
)
def test_a_malformed_report_of_a_gpu_is_refused(gpu: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(Block, {**HOST, "gpu": gpu}, "block")


def test_a_block_needs_no_gpu() -> None:
    assert decode(Block, HOST, "block").gpu is None
    assert (
        decode(GpuBlock, {"enqueue_s": 1.0, "inferences": 1, "more": "ignored"}, "gpu", is_open=True).energy_j is None
    )
