"""Workers of every kind of misbehaviour, started and watched for real, by this test's own interpreter."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isobench import worker
from isobench.errors import WorkerError
from isobench.workers import protocol

pytestmark = pytest.mark.integration

SAMPLES = Path(__file__).parents[1] / "samples" / "workers"


class Run:
    """Runs a sample worker in a fresh run directory."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.stages: list[str] = []
        self.environment: Any = SimpleNamespace(python=Path(sys.executable), folder=folder / "environment")

    def __call__(self, name: str, *, timeout_s: float = 30, **request: Any) -> dict[str, Any]:
        with worker.start(self.environment, SAMPLES / f"{name}.py", self.run_dir, threads=1) as process:
            process.go({"arguments": self.arguments(), "threads": 1, "seed": 0, "warmup": 3, **request})
            return process.finish(timeout_s=timeout_s, on_stage=self.stages.append)

    def arguments(self) -> dict[str, Any]:
        outputs = str(self.run_dir / protocol.OUTPUTS_FILE)
        return {"output_dir": str(self.run_dir), "onnx_file": "m.onnx", "outputs_file": outputs, "iterations": 7}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def gone(pid: int) -> bool:
    """Has the process ended? (One that nobody has collected yet has.)"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: Any, what: str) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"waited 10 s for {what}")


def test_a_worker_gets_its_arguments_and_tells_its_stages(run: Run) -> None:
    outputs = run("well_behaved")
    assert outputs["arguments"] == list(run.arguments().values())
    assert run.stages == ["loading", "looking round"]
    assert "printed by the worker" in (run.run_dir / protocol.LOG_FILE).read_text()


def test_a_worker_sees_nothing_of_the_users_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("HF_TOKEN", "a secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")
    monkeypatch.setenv("https_proxy", "http://user:password@localhost:1")
    outputs = run("well_behaved")
    assert outputs["isolated"] == 1
    assert "/somewhere" not in outputs["path"]
    assert not {"PYTHONPATH", "HF_TOKEN", "LD_LIBRARY_PATH", "https_proxy"} & set(outputs["environment"])
    assert outputs["environment"]["OMP_NUM_THREADS"] == "1"


def test_a_worker_that_reads_standard_input_finds_its_end(run: Run) -> None:
    assert run("well_behaved")["stdin"] == ""


def test_an_exception_is_told_with_its_stage_and_without_our_frames(run: Run) -> None:
    with pytest.raises(WorkerError) as caught:
        run("raises")
    assert caught.value.kind == "RuntimeError"
    assert "while it was thinking: RuntimeError: no such operator: Frobnicate" in caught.value.message
    assert "raises.py" in caught.value.details
    assert "launch.py" not in caught.value.details


def test_what_a_worker_refuses_is_shown_as_it_says_it(run: Run) -> None:
    with pytest.raises(WorkerError) as caught:
        run("refuses")
    error = caught.value
    assert (error.kind, error.message, error.hint) == ("bad-argument", "colour is 'blue'", "It is one of red, green.")
    assert error.refused
    assert error.details == "script.py, line 3"


def test_a_runtime_that_cannot_be_imported_is_told(run: Run) -> None:
    with pytest.raises(WorkerError, match="importing: ModuleNotFoundError: No module named 'a_module_that_nobody"):
        run("cannot_import")


def test_a_crash_names_the_signal_and_shows_the_last_words(run: Run) -> None:
    with pytest.raises(WorkerError, match="was killed by SIGSEGV while it was loading") as caught:
        run("segfaults")
    assert caught.value.kind == "crash"
    assert "the last words" in caught.value.details


def test_a_worker_that_leaves_without_a_result_is_a_crash(run: Run) -> None:
    with pytest.raises(WorkerError, match="left with exit code 3 and no result"):
        run("leaves")


def test_a_worker_that_calls_sys_exit_is_told(run: Run) -> None:
    with pytest.raises(WorkerError, match="left by itself with 'enough'"):
        run("exits")


def test_a_worker_over_its_time_is_killed_with_its_children(run: Run, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(WorkerError, match=r"was stopped after 1\.5 s while it was loading") as caught:
        run("hangs", timeout_s=1.5, pids=str(pids))
    assert caught.value.kind == "timeout"
    assert "--timeout" in caught.value.hint
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: gone(pid), f"process {pid} to be gone")


def test_a_worker_and_its_children_die_with_the_host(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    source = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.integration.test_worker import Run
Run(Path({str(tmp_path)!r}))("hangs", timeout_s=600, pids={str(pids)!r})
"""
    host = subprocess.Popen([sys.executable, "-c", source])
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), "the worker to start")
    assert not any(gone(pid) for pid in map(int, pids.read_text().split()))
    host.send_signal(signal.SIGKILL)
    host.wait()
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: gone(pid), f"process {pid} to be gone")


def test_a_flood_of_output_does_no_harm(run: Run) -> None:
    with pytest.raises(WorkerError, match="ValueError: drowned"):
        run("floods")
    assert (run.run_dir / protocol.LOG_FILE).stat().st_size > 19_000_000


@pytest.mark.parametrize("name", ["half_json", "wrong_schema"])
def test_what_can_not_be_read_back_is_refused(run: Run, name: str) -> None:
    with pytest.raises(WorkerError, match="wrote what can't be read") as caught:
        run(name)
    assert caught.value.kind == "protocol"


def test_want_of_memory_is_an_error_of_its_own(run: Run) -> None:
    with pytest.raises(WorkerError) as caught:
        run("runs_out_of_memory")
    assert caught.value.kind == "out-of-memory"


def test_a_measurement_has_samples_blocks_and_outputs(run: Run) -> None:
    outputs = run("counts")
    assert (outputs["iterations"], outputs["warmup_iterations"], outputs["load_s"]) == (7, 3, 0.5)
    assert outputs["facts"] == {"a": 1}
    [samples] = protocol.read_tensors(run.run_dir / protocol.SAMPLES_FILE)
    taken = memoryview(samples.data).cast("q").tolist()
    assert len(taken) == 7
    assert sum(block["iterations"] for block in outputs["blocks"]) == 7
    assert sum(taken) / 1e9 <= sum(block["wall_s"] for block in outputs["blocks"])
    [total] = protocol.read_tensors(run.run_dir / protocol.OUTPUT_TENSORS_FILE)
    assert memoryview(total.data).cast("q")[0] == sum(range(20_000))


def test_nothing_is_left_when_the_host_changes_its_mind(run: Run) -> None:
    with worker.start(run.environment, SAMPLES / "well_behaved.py", run.run_dir, threads=1) as process:
        pid = process._popen.pid
    assert gone(pid)
    assert not (run.run_dir / protocol.OUTPUTS_FILE).exists()


def test_an_interpreter_that_is_not_there_is_told(run: Run) -> None:
    run.environment.python = Path("/nowhere/bin/python")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(WorkerError, match="the interpreter can't be started"):
        run("well_behaved")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
