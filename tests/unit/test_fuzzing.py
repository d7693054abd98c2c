"""The tools of the fuzzers: what fails is found, named once, and can be repeated."""

from __future__ import annotations

import time
from random import Random

import pytest
from fuzzing import HangError, deadline, fuzz, fuzz_values, mangled
from hypothesis import strategies


def test_each_failure_is_reported_once_with_the_trial_that_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(random: Random) -> None:
        assert random.random() < 0.5, "too large"

    with pytest.raises(AssertionError, match=r"ISOBENCH_FUZZ_TRIAL=(\d+)") as failed:
        fuzz(check, seconds=0.05)
    assert str(failed.value).count("ISOBENCH_FUZZ_TRIAL=") == 1
    [trial] = [word.partition("=")[2] for word in str(failed.value).split() if word.startswith("ISOBENCH_FUZZ_TRIAL")]
    monkeypatch.setenv("ISOBENCH_FUZZ_TRIAL", trial)
    with pytest.raises(AssertionError, match="too large"):
        fuzz(check, seconds=0)


def test_values_of_a_strategy_are_made_small_where_a_trial_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(value: int) -> None:
        assert value < 1000

    with pytest.raises(AssertionError, match="ISOBENCH_FUZZ_TRIAL=") as failed:
        fuzz_values(strategies.integers(), check, seconds=0.2)
    trial = str(failed.value).partition("ISOBENCH_FUZZ_TRIAL=")[2].split()[0]
    monkeypatch.setenv("ISOBENCH_FUZZ_TRIAL", trial)
    with pytest.raises(AssertionError, match="value=1000"):
        fuzz_values(strategies.integers(), check, seconds=0.2)


def test_what_hangs_is_ended() -> None:
    with pytest.raises(HangError), deadline(0.05):
        time.sleep(60)


def test_mangled_bytes_depend_on_the_seed_alone_and_may_be_empty() -> None:
    raw = bytes(range(256))
    found = {mangled(raw, Random(number)) for number in range(200)}
    assert found == {mangled(raw, Random(number)) for number in range(200)}
    assert len(found) > 190
    assert isinstance(mangled(b"", Random(1)), bytes)
