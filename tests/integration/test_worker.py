"""Workers with every kind of misbehaviour, started and supervised with this test's own interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isobench import paths
from isobench.analysis.noise import Block
from isobench.codec import decode
from isobench.errors import WorkerError
from isobench.failures import Ending, Phase
from isobench.supervisor import worker_process
from isobench.supervisor.request import Request
from isobench.supervisor.sampling import Ready
from isobench.workers import protocol

pytestmark = pytest.mark.integration

SAMPLES = Path(__file__).parents[1] / "samples" / "workers"


class Run:
    """Runs a sample worker in a fresh run directory."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.stages: list[str] = []
        self.requests: tuple[int, ...] = ()
        self.more: dict[str, Any] = {}
        self.blocks: list[Block] = []
        self.ready: Ready | None = None
        self.environment: Any = SimpleNamespace(
            python=Path(sys.executable), folder=folder / "environment", activation=dict, image=""
        )

    def __call__(
        self, name: str, *, timeout_s: float = 30, phases_s: Mapping[str, float] | None = None, **request: Any
    ) -> Mapping[str, Any]:
        with worker_process.start(self.environment, SAMPLES / f"{name}.py", self.run_dir, threads=1) as process:
            wanted = Request(arguments=self.arguments(), threads=1, seed=0, **request)
            process.go(wanted, timeout_s=timeout_s, phase_timeouts_s=phases_s)
            self.ready = process.ready(self.stages.append)
            if self.ready:
                for samples in self.requests:
                    self.blocks.append(process.block(samples, self.stages.append))
                process.end()
            return process.finish(self.stages.append).raw

    def arguments(self) -> dict[str, Any]:
        outputs = str(self.run_dir / protocol.OUTPUTS_FILE)
        return {
            "output_dir": str(self.run_dir),
            "onnx_file": "m.onnx",
            "outputs_file": outputs,
            "iterations": 7,
            **self.more,
        }


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


def test_a_worker_gets_its_arguments_and_reports_its_phases(run: Run) -> None:
    outputs = run("well_behaved")
    assert outputs["arguments"] == list(run.arguments().values())
    assert run.stages == ["loading", "loading (looking round)"]
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


def test_an_exception_is_reported_with_its_phase_and_without_our_frames(run: Run) -> None:
    with pytest.raises(WorkerError) as caught:
        run("raises")
    assert (caught.value.kind, caught.value.cause) == (Ending.EXCEPTION, "RuntimeError")
    assert caught.value.phase is Phase.LOADING
    assert "while loading (thinking): RuntimeError: no such operator: Frobnicate" in caught.value.message
    assert "raises.py" in caught.value.details
    assert "launch.py" not in caught.value.details


def test_the_message_of_a_refusal_is_shown_unchanged(run: Run) -> None:
    with pytest.raises(WorkerError) as caught:
        run("refuses")
    error = caught.value
    assert (error.kind, error.message, error.hint) == ("bad-argument", "colour is 'blue'", "It is one of red, green.")
    assert error.refused
    assert error.details == "script.py, line 3"


def test_a_runtime_that_cannot_be_imported_is_reported(run: Run) -> None:
    with pytest.raises(WorkerError, match="importing: ModuleNotFoundError: No module named 'a_module_that_") as caught:
        run("cannot_import")
    assert caught.value.kind is Ending.IMPORT_ERROR


def test_a_crash_names_the_signal_and_shows_the_last_words(run: Run) -> None:
    with pytest.raises(WorkerError, match="was killed by SIGSEGV while loading") as caught:
        run("segfaults")
    assert (caught.value.kind, caught.value.cause) == (Ending.CRASH, "SIGSEGV")
    assert "Fatal Python error: Segmentation fault" in caught.value.details
    assert "the last words" in caught.value.details
    assert 'segfaults.py", line 9 in _execute' in caught.value.details


def test_a_refusal_before_the_request_arrives_as_it_is(run: Run) -> None:
    worker, resources = SAMPLES / "well_behaved.py", {"cpus": [4095]}
    with worker_process.start(run.environment, worker, run.run_dir, threads=1, resources=resources) as process:
        wait_until((run.run_dir / protocol.OUTPUTS_FILE).exists, "the refusal")
        process.go(Request(arguments=run.arguments(), threads=1, seed=0), timeout_s=30)
        with pytest.raises(WorkerError, match="can't set the CPUs 4095") as caught:
            process.finish(run.stages.append)
    assert (caught.value.kind, caught.value.refused, caught.value.phase) == (Ending.REFUSED, True, Phase.IMPORTING)


def test_a_worker_that_exits_without_a_result_is_a_crash(run: Run) -> None:
    with pytest.raises(WorkerError, match="exited with code 3 and no result"):
        run("leaves")


def test_a_worker_that_calls_sys_exit_is_reported(run: Run) -> None:
    with pytest.raises(WorkerError, match=r"called sys\.exit\('enough'\)") as caught:
        run("exits")
    assert 'sys.exit("enough")' in caught.value.details


def test_a_worker_that_ends_without_a_result_gets_a_hint_what_to_call(run: Run) -> None:
    with pytest.raises(WorkerError, match="ended without a result") as caught:
        run("measures_nothing")
    assert caught.value.kind is Ending.PROTOCOL
    assert "harness.measure" in caught.value.hint


def test_a_worker_over_its_time_is_killed_with_its_children(run: Run) -> None:
    with pytest.raises(WorkerError, match=r"was killed after 1\.5 s \(--timeout\) while loading") as caught:
        run("hangs", timeout_s=1.5)
    pids = run.run_dir / "pids"
    assert caught.value.kind is Ending.TIMEOUT
    assert "--timeout" in caught.value.hint
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: gone(pid), f"process {pid} to be gone")


def test_a_worker_over_the_time_of_a_phase_is_killed_and_the_phase_is_named(run: Run) -> None:
    with pytest.raises(WorkerError, match=r"was killed after 1 s \(--timeout load=1\) while loading") as caught:
        run("hangs", phases_s={"load": 1, "measure": 0.1})
    assert caught.value.kind is Ending.TIMEOUT
    assert caught.value.hint == "Allow more time for this phase with --timeout load=SECONDS."


def test_a_worker_and_its_children_die_with_the_host(tmp_path: Path) -> None:
    pids = tmp_path / "run" / "pids"
    source = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.integration.test_worker import Run
Run(Path({str(tmp_path)!r}))("hangs", timeout_s=600)
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
    assert (run.run_dir / protocol.LOG_FILE).stat().st_size < 2_200_000


@pytest.mark.parametrize("name", ["half_json", "wrong_schema"])
def test_malformed_outputs_are_refused(run: Run, name: str) -> None:
    with pytest.raises(WorkerError, match="wrote malformed outputs") as caught:
        run(name)
    assert caught.value.kind is Ending.PROTOCOL


def test_running_out_of_memory_has_a_kind_of_its_own(run: Run) -> None:
    with pytest.raises(WorkerError) as caught:
        run("runs_out_of_memory")
    assert caught.value.kind is Ending.OUT_OF_MEMORY


def test_a_measurement_has_the_blocks_that_the_host_requests(run: Run) -> None:
    run.requests = (4, 3, 5)
    outputs = run("counts", warmup=3)
    assert outputs["warmup"]["iterations"] == 3
    assert outputs["warmup"]["settled"] is None
    assert (outputs["load_s"], outputs["facts"], outputs["group"]) == (0.5, {"a": 1}, 1)
    samples = protocol.read_samples(run.run_dir / protocol.SAMPLES_FILE)
    assert len(samples) == 12
    assert [block.samples for block in run.blocks] == [4, 3, 5]
    assert [decode(Block, block, "block") for block in outputs["blocks"]] == run.blocks
    assert sum(samples) / 1e9 <= sum(block.wall_s for block in run.blocks)
    started = [block.started_s for block in run.blocks]
    assert started == sorted(started)
    [total] = protocol.read_tensors(run.run_dir / protocol.OUTPUT_TENSORS_FILE)
    assert memoryview(total.data).cast("q")[0] == sum(range(20_000))


def test_children_that_go_on_in_its_code_take_nothing_from_the_worker(run: Run) -> None:
    run.requests = (4, 4)
    outputs = run("forks", warmup=3)
    assert outputs["facts"]["parent"] == outputs["process"]["pid"]
    assert [block.samples for block in run.blocks] == [4, 4]
    assert len(protocol.read_samples(run.run_dir / protocol.SAMPLES_FILE)) == 8
    assert "in a child" in (run.run_dir / protocol.LOG_FILE).read_text()


def test_samples_before_a_crash_are_not_lost(run: Run) -> None:
    run.requests = (2, 2, 2)
    with pytest.raises(WorkerError, match="was killed by SIGSEGV while measuring"):
        run("crashes_later", warmup=1)
    assert len(run.blocks) == 2
    assert len(protocol.read_samples(run.run_dir / protocol.SAMPLES_FILE)) == 4


def test_warm_up_ends_when_the_latency_has_settled(run: Run) -> None:
    warmup = run("slow_at_first")["warmup"]
    assert warmup["settled"]
    assert warmup["iterations"] > 30, "it was slow for so long"
    first, *_, last = (median_s for _, median_s in warmup["curve"])
    assert first > 2 * last


def test_the_cold_start_is_reported_in_seconds_and_a_block_fits_the_counters(run: Run) -> None:
    run.requests = (3,)
    began = time.monotonic()
    outputs = run("takes_its_time", warmup=4)
    lasted_s = time.monotonic() - began
    assert 0.04 <= outputs["import_s"] < lasted_s
    assert 0.06 <= outputs["first_inference_s"] < lasted_s
    [[_, typical_s]] = outputs["warmup"]["curve"]
    assert 0.002 <= typical_s < lasted_s
    assert run.ready is not None
    assert run.ready.block_samples - 1 == pytest.approx(run.ready.block_s / typical_s, abs=1)
    assert run.stages == ["loading", "warming up", "measuring", "writing the outputs"]


def test_iterations_too_short_for_the_clock_are_timed_together(run: Run) -> None:
    run.requests = (10,)
    outputs = run("does_nothing")
    assert outputs["group"] > 10
    [block] = run.blocks
    assert block.iterations == 10 * outputs["group"]


def test_an_exact_number_of_iterations_is_divisible_into_groups(run: Run) -> None:
    run.requests = (1,)
    outputs = run("does_nothing", exactly=True)
    assert 7 % outputs["group"] == 0


@pytest.mark.parametrize("name", ["counts", "does_nothing"])
def test_a_worker_runs_manually_without_a_host(tmp_path: Path, name: str) -> None:
    request: dict[str, Any] = {"schema": protocol.REQUEST_SCHEMA, "threads": 1, "seed": 0, "warmup": 2}
    arguments = {"output_dir": str(tmp_path), "onnx_file": "", "outputs_file": str(tmp_path / "o"), "iterations": 77}
    request["arguments"] = arguments
    protocol.write_json(tmp_path / protocol.REQUEST_FILE, request)
    launch = paths.WORKERS / "launch.py"
    subprocess.run([sys.executable, "-I", "-B", launch, SAMPLES / f"{name}.py", tmp_path], check=True)
    outputs = protocol.read_json(tmp_path / "o", protocol.OUTPUTS_SCHEMA)
    done = sum(block["iterations"] for block in outputs["blocks"])
    assert 77 <= done < 77 + outputs["group"], "no more groups than necessary"


def test_a_script_starts_once_its_worker_is_in_its_control_group(tmp_path: Path) -> None:
    """As on a busy machine, where the kernel takes long: what the script starts before would not be in it."""
    script, started = tmp_path / "script.py", tmp_path / "started"
    script.write_text(f"open({str(started)!r}, 'x').close()\n")
    group = tmp_path / "group"
    group.mkdir()
    os.mkfifo(group / "cgroup.procs")
    control, events = os.pipe(), os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", paths.WORKERS / "launch.py", script, tmp_path],
        stdin=control[0],
        pass_fds=[events[1]],
        env={"ISOBENCH_EVENTS": str(events[1]), "ISOBENCH_TREE": str(group)},
    )
    time.sleep(0.3)
    assert not started.exists()
    [worker] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert (group / "cgroup.procs").read_text() == worker
    assert process.wait(timeout=30) == 0
    assert started.exists()
    for descriptor in (*control, *events):
        os.close(descriptor)


def test_an_interleaved_worker_quiesces_and_rewarms_its_threads(run: Run) -> None:
    run.requests = (3, 3)
    outputs = run("spins", interleaved=True, warmup=1)
    first, second = run.blocks
    first_ended_s = first.started_s + first.wall_s
    calls = outputs["facts"]["calls_s"]
    *_, (_, busy_until_s) = (call for call in calls if call[0] < first_ended_s)
    later = [ended_s for ended_s, _ in calls if ended_s > first_ended_s]
    assert later[0] > busy_until_s, "rewarming began after the thread had stopped spinning"
    assert len([ended_s for ended_s in later if ended_s < second.started_s]) > 1, "a block begins with untimed calls"
    assert len([ended_s for ended_s in later if ended_s > second.started_s]) == 3


def test_without_interleaving_each_call_of_a_block_is_timed(run: Run) -> None:
    run.requests = (3, 3)
    outputs = run("spins", warmup=1)
    assert len(outputs["facts"]["calls_s"]) == 1 + 1 + 6  # the list's own first, the warm-up's


def test_a_worker_that_is_not_used_leaves_nothing(run: Run) -> None:
    with worker_process.start(run.environment, SAMPLES / "well_behaved.py", run.run_dir, threads=1) as process:
        pid = process._tree.popen.pid
    assert gone(pid)
    assert not (run.run_dir / protocol.OUTPUTS_FILE).exists()


def test_a_missing_interpreter_is_reported(run: Run) -> None:
    run.environment.python = Path("/nowhere/bin/python")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(WorkerError, match="the interpreter can't be started"):
        run("well_behaved")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_worker_on_a_gpu_writes_samples_by_both_contracts_and_counters(run: Run) -> None:
    run.requests = (20, 10)
    outputs = run("on_gpu", warmup=3)
    device, end_to_end = (
        protocol.read_samples(run.run_dir / name) for name in (protocol.SAMPLES_FILE, protocol.END_TO_END_FILE)
    )
    assert len(device) == len(end_to_end) == 30
    assert min(device) >= 2_000_000  # what was queued was waited for, also before an event was read
    assert min(end_to_end) >= 3_000_000
    assert outputs["first_inference_s"] >= 0.002
    assert outputs["warmup"]["curve"][0][1] >= 0.002
    assert [block.samples for block in run.blocks] == [20, 10]
    assert [block.gpu.inferences for block in run.blocks if block.gpu] == [41, 21]
    assert (outputs["group"], outputs["facts"]["timing"]) == (1, "device")
