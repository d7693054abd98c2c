"""Results of earlier calls, in place of measuring the same Cases again."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import sample_results

from isobench import api, results
from isobench.console import Console
from isobench.errors import UsageError
from isobench.executors.cases import Cases
from isobench.executors.resuming import MeasuredBefore
from isobench.failures import Ending
from isobench.measuring.case import Case
from isobench.planning.retry import Retry
from isobench.results import Failed, Measured, Provenance
from isobench.sweeps.outcomes import Machine

MEASURED = sample_results.measured(4.0)
CRASHED = Failed(kind=Ending.CRASH, message="it crashed")
UNINSTALLED = Failed(kind=Ending.ENVIRONMENT, message="it can't be installed")
QUIET = Console(quiet=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results; this machine is the one of the sample results."""
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOBENCH_PROVIDER", "venv")
    monkeypatch.setattr(Machine, "here", lambda: Machine(hostname="one", cpu="A CPU"))
    return tmp_path / "results"


@pytest.fixture
def case(root: Path) -> Case:
    script = root.parent / "net.py"
    script.write_text("one")
    cases = Cases(api.plan([str(script)], runtimes=["ort"]), QUIET)
    return cases.case(cases.entries[0], cases.plan.models[0])


def save(root: Path, case: Case, outcome: Measured | Failed, number: int, provenance: Provenance | None = None) -> str:
    made = sample_results.make("ort", outcome, id=f"20260101T00000{number}-net-ort-0001", case_key=str(case.key))
    made = replace(made, provenance=provenance or made.provenance)
    return results.save(made, root=root).name


def found(root: Path, case: Case, times: int = 1, retry: Retry = Retry.NONE) -> list[str | None]:
    """The names of the Results that so many equal Cases of one call get."""
    with MeasuredBefore(root, retry, QUIET) as before:
        stored = [before(case) for _ in range(times)]
    return [one.folder.name if one else None for one in stored]


def test_a_case_that_was_never_measured_is_measured(root: Path, case: Case) -> None:
    assert found(root, case) == [None]


def test_the_newest_measurement_is_used_even_if_a_later_one_failed(root: Path, case: Case) -> None:
    save(root, case, MEASURED, 1)
    newest = save(root, case, MEASURED, 2)
    save(root, case, CRASHED, 3)
    assert found(root, case) == [newest]


def test_equal_cases_of_one_call_get_a_result_each(root: Path, case: Case) -> None:
    first, second = save(root, case, MEASURED, 1), save(root, case, MEASURED, 2)
    assert found(root, case, times=3) == [second, first, None]


def test_a_result_that_can_not_be_read_is_not_used(root: Path, case: Case) -> None:
    older, newest = save(root, case, MEASURED, 1), save(root, case, MEASURED, 2)
    file = root / newest / results.RESULT_FILE
    file.write_text(file.read_text().replace('"group": 1', '"group": 0'))  # not what a list shows
    assert found(root, case) == [older]
    file.write_text("{")
    assert found(root, case, times=2) == [older, None]


def test_a_failed_case_is_measured_again_as_the_retry_says(root: Path, case: Case) -> None:
    failed = save(root, case, UNINSTALLED, 1)
    measured_again = {retry: found(root, case, retry=retry) == [None] for retry in Retry}
    assert measured_again == {Retry.NONE: False, Retry.INFRASTRUCTURE: True, Retry.FAILED: True, Retry.ALL: True}
    assert found(root, case) == [failed]


def test_only_a_retry_of_all_measures_again_what_was_measured(root: Path, case: Case) -> None:
    save(root, case, MEASURED, 1)
    assert [retry for retry in Retry if found(root, case, retry=retry) == [None]] == [Retry.ALL]


def test_a_result_of_another_machine_isnt_used(root: Path, case: Case) -> None:
    host = replace(sample_results.HOST, hostname="two")
    save(root, case, MEASURED, 1, Provenance(host=host))
    assert found(root, case) == [None]


def test_a_result_of_another_script_isnt_used(root: Path, case: Case) -> None:
    save(root, case, MEASURED, 1)
    case.model.path.write_text("two")
    changed = Case(case.plan, case.entry, case.model, None, on_stage=print)
    assert found(root, changed) == [None]


def test_a_retry_needs_resume_and_must_be_known(case: Case) -> None:
    with pytest.raises(UsageError, match="--retry failed is for Cases that were measured before"):
        api.measure(case.plan, retry="failed")
    with pytest.raises(UsageError, match="no retry 'often'"):
        api.measure(case.plan, resume=True, retry="often")


def test_whatever_fails_while_a_result_is_looked_for_the_case_is_measured(
    root: Path, case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(root, case, MEASURED, 1)

    def fails() -> Machine:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Machine, "here", fails)
    with MeasuredBefore(root, Retry.NONE, Console()) as before:
        assert before(case) is None
    assert "warning: looking for a result of net on ort failed: Too many open files" in capsys.readouterr().err
