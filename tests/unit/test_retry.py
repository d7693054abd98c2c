"""Which Cases are measured again."""

from __future__ import annotations

import pytest

from isobench.failures import INFRASTRUCTURE, Ending
from isobench.planning.retry import Retry

MEASURED = None


@pytest.mark.parametrize("kind", [MEASURED, *Ending])
def test_without_a_retry_nothing_is_measured_again(kind: Ending | None) -> None:
    assert not Retry.NONE.runs_again(kind)


@pytest.mark.parametrize("kind", Ending)
def test_a_retry_of_infrastructure_leaves_the_models_failures_alone(kind: Ending) -> None:
    assert Retry.INFRASTRUCTURE.runs_again(kind) == (kind in INFRASTRUCTURE)
    assert Retry.FAILED.runs_again(kind)


def test_only_a_retry_of_all_measures_what_was_measured() -> None:
    assert [retry for retry in Retry if retry.runs_again(MEASURED)] == [Retry.ALL]


def test_the_words_of_the_command_line_are_the_values() -> None:
    assert Retry("infrastructure") is Retry.INFRASTRUCTURE
    assert [str(retry) for retry in Retry] == ["none", "infrastructure", "failed", "all"]
