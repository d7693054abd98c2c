"""Time limits of a worker: of all of its work, and of each phase; only waiting counts."""

from __future__ import annotations

import time

from isobench.planning import setting_values
from isobench.supervisor import limits
from isobench.supervisor.limits import TimeLimits
from isobench.workers.protocol import Phase


def test_every_phase_belongs_to_one_that_can_be_limited() -> None:
    assert set(limits.PART_OF) == set(Phase)
    assert set(limits.PART_OF.values()) == set(setting_values.PHASES)


def test_time_counts_for_the_phase_that_it_was_used_in() -> None:
    limited = TimeLimits(100.0, {"load": 10.0, "measure": 0.01})
    limited.enter(Phase.LOADING)
    with limited.waiting():
        time.sleep(0.02)
        assert 9 < limited.left_s() < 9.99
        limited.enter(Phase.WARMING_UP)
        assert 99 < limited.left_s() < 99.99
        limited.enter(Phase.MEASURING)
        time.sleep(0.02)
        assert limited.left_s() <= 0
    exceeded = limited.exceeded()
    assert (exceeded.limit_s, exceeded.option) == (0.01, "--timeout measure=0.01")


def test_time_in_which_the_host_does_not_wait_does_not_count() -> None:
    limited = TimeLimits(10.0)
    time.sleep(0.02)
    assert limited.left_s() == 10.0
    with limited.waiting():
        assert limited.left_s() < 10.0
    left_s = limited.left_s()
    time.sleep(0.02)
    assert limited.left_s() == left_s


def test_the_limit_of_all_phases_is_named_where_it_is_reached_first() -> None:
    limited = TimeLimits(5.0, {"import": 6.0})
    assert (limited.exceeded().limit_s, limited.exceeded().option) == (5.0, "--timeout")


def test_poll_gets_no_more_than_it_takes() -> None:
    assert [limits.milliseconds(seconds) for seconds in (-1.0, 0.0001, 2.0, 3e9)] == [0, 1, 2000, 2**31 - 1]
