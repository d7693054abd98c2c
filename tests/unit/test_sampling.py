from __future__ import annotations

from sample_blocks import quiet

from isobench.planning.settings import Settings
from isobench.supervisor.sampling import Ready, Sampler


def requested(settings: Settings, ready: Ready, *, wall_s: float = 0.1, others_s: float = 0.0) -> list[int]:
    """The blocks that are requested if each takes `wall_s`, and others use `others_s` of it."""
    sampler, requested = Sampler(settings, ready), []
    while samples := sampler.next():
        requested.append(samples)
        sampler.add(quiet(samples, group=ready.group, wall_s=wall_s, cpu_own_s=wall_s, cpu_others_s=others_s))
    return requested


def ready(block_samples: int, group: int = 1) -> Ready:
    return Ready(block_samples=block_samples, block_s=0.1, group=group, resolution_s=0.0)


def test_an_exact_number_is_exact_and_leaves_no_short_block() -> None:
    settings = Settings(threads=1, iterations=100)
    assert requested(settings, ready(30)) == [30, 30, 40]
    assert requested(settings, ready(200)) == [100]
    assert requested(settings, ready(30, group=2)) == [50]


def test_by_default_both_iterations_and_time_must_be_enough() -> None:
    assert requested(Settings(threads=1, min_time_s=0.35), ready(1000)) == [1000] * 4, "a quick model: time decides"
    assert requested(Settings(threads=1, min_time_s=0.35), ready(25)) == [25] * 4, "a slow one: iterations decide"


def test_disturbed_blocks_do_not_count_and_the_time_is_limited() -> None:
    settings = Settings(threads=1, min_time_s=0.2, max_time_s=0.95)
    assert len(requested(settings, ready(1000), others_s=1.0)) == 10
    assert len(requested(settings, ready(1000), others_s=0.0)) == 2


def test_blocks_that_are_too_short_for_the_counters_grow() -> None:
    sampler = Sampler(Settings(threads=1), Ready(block_samples=1, block_s=0.1, group=1, resolution_s=0.01))
    requested = []
    for _ in range(7):
        requested.append(sampler.next())
        lasted_s = requested[-1] * 0.004
        sampler.add(quiet(requested[-1], wall_s=lasted_s, cpu_own_s=lasted_s))
    assert requested == [1, 2, 4, 8, 16, 16, 16]


def test_without_selection_every_block_counts() -> None:
    settings = Settings(threads=1, min_time_s=0.2, max_time_s=1.0, select=False)
    assert len(requested(settings, ready(1000), others_s=1.0)) == 2
