"""`isobench sweep` as a user types it, up to where something would be measured."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sample_results
import sample_sweeps

from isobench import paths
from isobench.cli.main import main
from isobench.failures import Ending
from isobench.sweeps.folder import SweepFolder
from isobench.system import locks, provenance


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """A sweep of which one case is measured, one failed and one is left."""
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOBENCH_PROVIDER", "venv")
    monkeypatch.chdir(tmp_path)
    tasks = [sample_sweeps.task(case_key=f"k{batch}", axes={"batch": batch}) for batch in (1, 8, 32)]
    sample_sweeps.folder(paths.sweeps() / "night-1", tasks[0])
    os.utime(paths.sweeps() / "night-1" / "sweep.json", (0, 0))
    made = sample_sweeps.folder(paths.sweeps() / "night-2", *tasks)
    host = replace(sample_results.HOST, hostname=os.uname().nodename)
    host = replace(host, cpu=replace(host.cpu, model=provenance.cpu_model()))
    here = replace(sample_results.make().provenance, host=host)
    sample_sweeps.save(made, tasks[0], provenance=here)
    sample_sweeps.save(made, tasks[1], sample_sweeps.failed(Ending.ENVIRONMENT, "no network"), provenance=here)
    return made


def isobench_(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", *arguments])
        with pytest.raises(SystemExit) as leaving:
            main()
    out, err = capsys.readouterr()
    return int(leaving.value.code or 0), out, err


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["sweep", "statsu"], ["statsu is neither a suite file nor a command; did you mean status?"]),
        (["sweep", "nothing.toml"], ["nothing.toml"]),
        (["sweep", "--dry-run"], ["no suite was given", "isobench sweep SUITE.toml"]),
        (["sweep", "status", "day"], ["no sweep in day", "Sweeps are in"]),
        (["sweep", "status", "night-"], ["night- matches 2 sweeps: night-1, night-2"]),
        (["sweep", "cancel"], ["no process works on night-2", "isobench sweep status"]),
        (["sweep", "attach", "night-1"], ["no process works on night-1", "isobench sweep resume night-1"]),
        (["sweep", "resume", "--retry", "some"], ["'some' is not one of", "'infrastructure'"]),
        (["sweep", "suite.toml", "--slurm", "=gpu"], ["--slurm must be KEY=VALUE, got '=gpu'"]),
        (["sweep", "suite.toml", "--executor", "slrum"], ["unknown executor 'slrum'", "did you mean slurm?"]),
        (["sweep", "suite.toml", "--executor-option", "x=1"], ["the executor local has no option 'x'"]),
        (["sweep", "suite.toml", "--attempts", "0"], ["--attempts must be at least 1, got 0"]),
        (["sweep", "suite.toml", "--name", "../x"], ["--name must be the name of a folder, got '../x'", "--output"]),
        (["list", "--from", "day"], ["day is neither a folder of results nor a sweep"]),
    ],
)
def test_an_invalid_request_is_refused_with_what_is_wrong(
    arguments: list[str], texts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text("")
    (tmp_path / "suite.toml").write_text('schema = "isobench.suite/1"\nmodels = ["net.py"]\n')
    code, _, err = isobench_(capsys, *arguments)
    assert code == 2
    for text in texts:
        assert text in err


def test_the_status_of_the_newest_sweep_says_which_one_that_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = isobench_(capsys, "sweep", "status")
    assert (code, err) == (0, "the newest sweep: night-2\n")
    assert out.endswith(
        "measure what is left (1)           isobench sweep resume night-2\n"
        "retry infrastructure failures (1)  isobench sweep retry night-2 --retry infrastructure\n"
    )


def test_the_status_for_programs_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = isobench_(capsys, "sweep", "status", "night-2", "--json")
    value = json.loads(out)
    assert (value["measured"], value["failed"], value["left"], value["running"]) == (1, 1, 1, [])


def test_a_sweep_that_another_process_runs_offers_no_commands(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with locks.FileLock(folder.lock_file, what="the sweep"):
        _, out, _ = isobench_(capsys, "sweep", "status", "night-2")
        code, _, err = isobench_(capsys, "sweep", "attach", "night-2")
    assert f"at work   pid {os.getpid()}" in out
    assert "isobench sweep" not in out
    assert code == 2
    assert "only the process that runs night-2 shows its progress" in err


def test_the_folder_of_a_sweep_is_one_of_results(folder: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("night-2", str(folder.path), str(folder.results)):
        _, out, _ = isobench_(capsys, "list", "--from", name)
        assert "failed: environment" in out
        _, out, _ = isobench_(capsys, "report", "--csv", name)
        assert len(out.splitlines()) == 3


def test_the_help_lists_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = isobench_(capsys, "sweep", "-h")
    assert code == 0
    assert "isobench sweep [OPTIONS] SUITE.toml\n       isobench sweep COMMAND [OPTIONS] [FOLDER]" in out
    for text in ("--dry-run", "--slurm KEY=VALUE", "resume  Measure what is left", "cancel  Stop a sweep"):
        assert text in out


def test_the_status_warns_of_a_result_that_can_not_be_read(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = folder.results / "20260101T000009-net-ort-ffff"
    torn.mkdir()
    (torn / "result.json").write_text("{")
    code, _, errors = isobench_(capsys, "sweep", "status", str(folder.path))
    assert code == 0
    assert "warning: " in errors
    assert "20260101T000009-net-ort-ffff/result.json is not valid JSON" in errors
