"""What a user sees of an invalid request: the message, the hint and the exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isobench import api
from isobench.cli.main import main
from isobench.errors import UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOBENCH_PROVIDER", "auto")  # --provider sets it
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("# labels: task::nlp\n")
    (tmp_path / "notes.md").write_text("")
    return tmp_path / "home"


def errors_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", *arguments])
        with pytest.raises(SystemExit) as leaving:
            main()
    return int(leaving.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "texts"),
    [
        (["run", "-r", "trot", "model.py"], 2, ["unknown runtime 'trot'", "ort, torch-compiled, torch-eager"]),
        (["run", "--provider", "docker", "model.py"], 2, ["there is no provider 'docker'", "container, adopted"]),
        (["run", "--device", "abacus", "model.py"], 2, ["unknown family 'abacus'", "x86"]),
        (["run", "--device", "x86::a::b::c", "model.py"], 2, ["--device must be FAMILY[::PART", "x86::a::b"]),
        (["run", "-r", "trt", "--device", "cpu", "model.py"], 2, ["trt doesn't support cpu, only nvidia"]),
        (["run", "--rt-args", "colour::blue", "model.py"], 2, ["ort has no argument 'colour'", "spinning (bool"]),
        (["benchmark", "--rt-args", "spinning::8", "model.py"], 2, ["ort: spinning must be bool, got '8'"]),
        (["compare", "--rt-args", "spinning", "colour", "model.py"], 2, ["ort has no argument 'colour'"]),
        (["run", "model.py", "--rt-args"], 2, ["--rt-args needs at least one NAME::VALUE"]),
        (
            ["run", "--device", "x86::turbo", "model.py"],
            2,
            ["ort doesn't support the part 'turbo' of x86", "It has no parts."],
        ),
        (["run", "--device", "nvidia", "model.py"], 2, ["no device nvidia: ", "doctor --device nvidia"]),
        (["plugin", "new", "Mine"], 2, ["'Mine' can't be the name of a runtime", "my-runtime"]),
        (["plugin", "new", "class"], 2, ["'class' can't be the name of a runtime"]),
        (["plugin", "new", "ort"], 2, ["there is a runtime 'ort' already"]),
        (["plugin", "new", "mine", "--folder", "."], 2, [". already exists", "--folder DIR"]),
        (["run", "--iterations", "0", "model.py"], 2, ["--iterations must be at least 1, got 0"]),
        (["run", "--iterations", "many", "model.py"], 2, ["'many' is not a valid integer"]),
        (["run", "--warmup", "0", "model.py"], 2, ["--warmup must be at least 1, got 0"]),
        (["run", "--threads", "-1", "model.py"], 2, ["--threads must be at least 1, got -1"]),
        (["run", "--timeout", "0", "model.py"], 2, ["--timeout must be at least 0.1, got 0"]),
        (["run", "--max-depth", "-1", "model.py"], 2, ["--max-depth must be at least 0, got -1"]),
        (["run", "--opset", "0", "model.py"], 2, ["--opset must be at least 1, got 0"]),
        (["run", "--seed", "-1", "model.py"], 2, ["--seed must be from 0 to 4294967295, got -1"]),
        (["discover", "--seed", "4294967296", "model.py"], 2, ["--seed must be from 0 to 4294967295, got 4294967296"]),
        (
            ["sequence", "-i", "model.py", "--seed", "-1", "onnx-fp32"],
            2,
            ["--seed must be from 0 to 4294967295, got -1"],
        ),
        (["run", "--output", "model.py/results", "model.py"], 2, ["results can't be saved in", "Not a directory"]),
        (["run", "--dim", "batch", "m.onnx"], 2, ["'batch' is not NAME=VALUE", "--dim batch=8"]),
        (["run", "--dim", "batch=x", "m.onnx"], 2, ["a size must be an integer of at least 0, got 'x'"]),
        (["run", "--shape", "x=1,-1", "m.onnx"], 2, ["a size must be an integer of at least 0, got '-1'"]),
        (["run", "--script-args", "it's", "model.py"], 2, ["--script-args", "No closing quotation"]),
        (["run", "absent.py"], 3, ["absent.py: no such file"]),
        (["run", "notes.md"], 3, ["notes.md is not a model", ".onnx file"]),
        (["run", "*.onnx"], 3, ["*.onnx: no .py, .onnx or .ort file matches"]),
        (["run", "--label", "task::vision", "model.py"], 2, ["no model has the label task::vision", "# labels:"]),
        (["run", "--output", "notes.md/x", "model.py"], 2, ["can't be saved in ", "Not a directory", "--output"]),
        (["run"], 2, ["Missing argument 'MODEL...'"]),
        (["walk"], 2, ["No such command 'walk'"]),
        (["discover", "absent.py"], 3, ["absent.py: no such file"]),
        (["show", "20990101"], 6, ["no result '20990101'", "isobench list"]),
        (["env", "create"], 2, ["give either names of environments or --all"]),
        (["env", "path", "ort"], 4, ["the ort environment does not exist", "isobench env create ort"]),
        (["env", "path", "orf"], 2, ["there is no environment 'orf'; did you mean ort?"]),
    ],
)
def test_an_invalid_request_is_refused_before_any_work(
    arguments: list[str], code: int, texts: list[str], capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    left, errors = errors_of(capsys, *arguments)
    assert left == code, errors
    for text in texts:
        assert text in errors
    assert "Traceback" not in errors
    assert not (home / "runs").exists()


def test_a_home_that_is_not_writable_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", "/sys/isobench")  # where not even root may write
    code, errors = errors_of(capsys, "run", "model.py")
    assert code == 2
    assert "error: results can't be saved in /sys/isobench/results: " in errors
    assert "set ISOBENCH_HOME" in errors


def test_a_full_disk_is_reported_with_a_hint() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "isobench", "doctor"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 6
    assert "error: the output can't be written: No space left on device" in done.stderr
    assert "hint: Free some disk space" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_list_without_results_is_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, errors = errors_of(capsys, "list")
    assert code == 0
    assert "no results in" in errors


def test_an_unreadable_result_does_not_hide_the_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "results" / "20260101T000000-x-ort-0000"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text('{"schema": "isobench.result/99"}')
    code, errors = errors_of(capsys, "list")
    assert code == 0
    assert "warning:" in errors
    assert "isobench.result/99" in errors


def test_an_unknown_argument_of_a_runtime_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ort has no argument 'colour'") as caught:
        api.plan(["model.py"], rt_args={"colour": "blue"})
    assert "spinning (bool; default True)" in caught.value.hint
