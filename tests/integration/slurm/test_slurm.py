"""Sweeps on a real Slurm: slurmctld and two slurmd, both of them this machine under two names."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import slurm_world
from slurm_sweeps import LONG, QUICK, a_sweep, events, isobench, outcomes, tasks, write_onnx

from isobench.console import Console
from isobench.environments import Environment
from isobench.errors import UsageError
from isobench.executors import sweep as engine
from isobench.executors.slurm import SlurmExecutor, records
from isobench.executors.slurm.nodes import Nodes
from isobench.executors.slurm.options import Options
from isobench.failures import Ending
from isobench.results import Failed, Measured
from isobench.sweeps.folder import SweepFolder
from isobench.sweeps.journal import What
from isobench.system import devices
from isobench.system.slurm import SlurmUnreachableError

SCRIPTS = Path(__file__).parents[2] / "samples" / "scripts"

pytestmark = pytest.mark.integration


def unfinished(folder: SweepFolder) -> dict[str, str]:
    """The tasks that a node is at work on, and which one."""
    done = {result.sweep.task for result in outcomes(folder) if result.sweep}
    at_work = SlurmExecutor(folder.sweep.options).pending(folder)
    running = {key: words.split()[2] for key, words in at_work.items() if words.startswith("running on ")}
    return {key: node for key, node in running.items() if key not in done}


def members(value: Any, at: str = "") -> set[str]:
    """The paths of all members of a JSON value; the items of a list have one."""
    if isinstance(value, dict):
        return {at}.union(*(members(item, f"{at}.{name}") for name, item in value.items()))
    if isinstance(value, list):
        return {at}.union(*(members(item, f"{at}[]") for item in value))
    return {at}


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"partition": "mian"}, r"no partition 'mian'; did you mean main\?", "Partitions: main"),
        ({"constraint": "amx"}, "no node of partition main has the feature 'amx'", "loopback, n1-only, n2-only"),
        ({"nodelist": "n[1-3]"}, "--slurm nodelist: main has no node n3", "sinfo -N"),
        ({"exclude": "n[1-2]"}, "no node of partition main is left", "sinfo -N"),
    ],
)
def test_options_that_no_node_fits_are_refused_before_anything_is_done(
    slurm: slurm_world.Slurm, options: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        SlurmExecutor(options).check()
    assert hint in refused.value.hint


def test_a_node_that_lost_a_task_is_avoided_unless_there_is_no_other(slurm: slurm_world.Slurm) -> None:
    def excluded(avoided: set[str], **options: str) -> tuple[str, ...]:
        return Nodes(Options.of(options)).excluded(avoided)

    assert excluded({"n1"}) == ("n1",)
    assert excluded({"n1", "n2"}) == ()
    assert excluded({"n1"}, exclude="n2") == ("n2",)
    assert excluded(set(), nodelist="n1") == ("n2",)
    slurm.run("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=test")
    assert excluded({"n1"}) == ()
    slurm.run("scontrol", "update", "NodeName=n2", "State=RESUME")


def test_what_sbatch_says_is_the_reason_and_a_resume_with_other_options_goes_on(
    slurm: slurm_world.Slurm, tmp_path: Path
) -> None:
    [task] = tasks(1, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    folder = a_sweep(tmp_path / "sweep", (task,), memory="900G")
    with pytest.raises(UsageError, match="Slurm refused the job") as refused:
        list(engine.run(folder, Console()))
    assert "Memory specification can not be satisfied" in refused.value.details
    assert refused.value.hint == f"With what it allows: isobench sweep resume {folder.path} --slurm KEY=VALUE"
    [result] = [one.result for one in engine.run(folder, Console(), options={"memory": "1"})]
    assert isinstance(result.outcome, Measured)


def test_without_slurm_nobody_guesses_what_became_of_the_jobs(
    slurm: slurm_world.Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [task] = tasks(1, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    folder = a_sweep(tmp_path / "sweep", (task,))
    folder.freeze((task,))
    executor = SlurmExecutor({})
    assert executor.pending(folder) == {}
    records.write(folder, records.new(folder, (records.Attempt(task=task.key, attempt=1, job="99"),), ()))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert executor.pending(folder) == {task.key: "perhaps running (job 99): Slurm doesn't answer"}
    with pytest.raises(SlurmUnreachableError, match="Slurm doesn't answer: squeue failed"):
        executor.cancel(folder)


def test_a_night_of_twelve_with_a_crash_and_two_lost_nodes_has_every_result(
    slurm: slurm_world.Slurm, provisioned: Callable[[str], Environment], tmp_path: Path
) -> None:
    provisioned("torch")
    eleven = tasks(11, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    crash = tasks(1, SCRIPTS / "crashes_when_measured.py", runtime="torch-eager", **QUICK)
    folder = a_sweep(tmp_path / "sweep", (*crash, *eleven))
    # Whoever measures waits for the device, so that both nodes are hit in the middle of a task.
    with isobench("resume", folder.path) as watching:
        with devices.exclusive(devices.Device.parse("cpu")):
            slurm.until("both nodes are at work", lambda: len(events(folder, What.RUNNING)) == 2)
            hit = unfinished(folder)
            slurm.kill_node("n2")
            slurm.run("scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=test")
            slurm.until("n1 has lost its job", lambda: "n1" not in unfinished(folder).values())
        shown, _ = watching.communicate(timeout=240)
    assert set(hit.values()) == {"n1", "n2"}
    assert "12 cases: 11 measured" in shown
    found = outcomes(folder)
    assert len(found) == 12
    assert {result.sweep.task for result in found if result.sweep} == {task.key for task in (*crash, *eleven)}
    [failed] = [result for result in found if isinstance(result.outcome, Failed)]
    assert isinstance(failed.outcome, Failed)
    assert failed.outcome.kind is Ending.CRASH
    nodes = [result.provenance.batch.node for result in found if result.provenance.batch]
    assert nodes == ["n1"] * 12  # it is back, and n2 isn't
    lost = {event.task: event.note for event in events(folder, What.LOST)}
    assert set(lost) == set(hit)
    assert all(f"on {node} ended without a result: its node failed" in lost[key] for key, node in hit.items())
    assert {result.sweep.task for result in found if result.sweep and result.sweep.attempt == 2} == set(hit)
    assert events(folder, What.FINISHED)
    assert max(len(one.attempts) for one in records.read(folder)) == 5  # the cluster's MaxArraySize


def test_a_result_from_a_node_is_like_a_local_one_and_says_what_ran_beside_it(
    slurm: slurm_world.Slurm, tmp_path: Path
) -> None:
    [task] = tasks(1, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    [local] = [one.result for one in engine.run(a_sweep(tmp_path / "local", (task,), executor="local"), Console())]
    script = tmp_path / "neighbour.sh"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    options = ["--nodelist=n1", "--ntasks=1", "--job-name=neighbour", "--output=/dev/null"]
    neighbour = slurm.run("sbatch", "--parsable", *options, str(script)).strip()
    slurm.until("the neighbour runs", lambda: f"{neighbour} neighbour RUNNING n1" in slurm.jobs())
    folder = a_sweep(tmp_path / "sweep", (task,), nodelist="n1", cpus=1, prepare="node")
    [result] = [one.result for one in engine.run(folder, Console())]
    slurm.run("scancel", neighbour)
    assert isinstance(result.outcome, Measured)
    assert result.case_key == local.case_key
    batch, host = result.provenance.batch, result.provenance.host
    assert batch
    assert host
    assert (batch.system, batch.node, batch.partition, batch.exclusive) == ("slurm", "n1", "main", False)
    assert "n1-only" in batch.features
    assert batch.others_at_begin == batch.others_at_end == (f"{neighbour} (1 CPUs)",)
    assert len(host.affinity) == 1
    ours, theirs = members(result.to_json()), members(local.to_json())
    further = {path for path in ours - theirs if not path.startswith(".provenance.batch")}
    # One CPU and two differ in how noise shows, which has members of its own where there is some.
    assert {path for path in further ^ (theirs - ours) if not path.startswith(".outcome")} == set()


def test_an_interrupted_sweep_goes_on_is_attached_to_and_cancelled_alone(
    slurm: slurm_world.Slurm, tmp_path: Path
) -> None:
    folder = a_sweep(tmp_path / "sweep", tasks(2, write_onnx(tmp_path / "relu.onnx"), **LONG))
    script = tmp_path / "foreign.sh"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    foreign = slurm.run("sbatch", "--parsable", "--begin=now+1hour", "--output=/dev/null", str(script)).strip()
    executor = SlurmExecutor(folder.sweep.options)
    with isobench("resume", folder.path) as first:
        slurm.until("both run", lambda: slurm.jobs().count("RUNNING") == 2)
        first.send_signal(signal.SIGINT)
        shown, _ = first.communicate(timeout=60)
    assert "the sweep goes on without this process" in shown
    at_work = executor.pending(folder)
    assert set(at_work) == {task.key for task in folder.sweep.tasks}
    assert all(words.startswith("running on n") for words in at_work.values())
    with isobench("attach", folder.path) as second:
        assert second.stdout
        shown = next(line for line in second.stdout if "2 tasks were submitted already" in line)
        with isobench("cancel", folder.path) as cancelling:
            said, _ = cancelling.communicate(timeout=60)
        shown += second.stdout.read()
    assert "2 cases stopped" in said
    assert "the sweep was cancelled" in shown
    slurm.until("nothing runs", lambda: "RUNNING" not in slurm.jobs() and not executor.pending(folder))
    assert foreign in slurm.jobs()
    assert not outcomes(folder)
    assert len(events(folder, What.SUBMITTED)) == 2
    assert {event.task for event in events(folder, What.CANCELLED)} == {"", *at_work}


def test_jobs_of_a_process_that_was_killed_while_it_submitted_are_found_by_their_name(
    slurm: slurm_world.Slurm, tmp_path: Path
) -> None:
    folder = a_sweep(tmp_path / "sweep", tasks(2, write_onnx(tmp_path / "relu.onnx"), **QUICK))
    attempts = tuple(records.Attempt(task=task.key, attempt=1) for task in folder.sweep.tasks)
    unknown = records.new(folder, attempts, ())
    records.write(folder, unknown)
    script = tmp_path / "orphan.sh"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    options = [f"--job-name={unknown.name}", "--array=0-1", "--output=/dev/null"]
    orphan = slurm.run("sbatch", "--parsable", *options, str(script)).strip()
    found = [saved.result for saved in engine.run(folder, Console())]
    assert [result.sweep.attempt for result in found if result.sweep] == [1, 1]
    slurm.until("the orphan is gone", lambda: orphan not in [line.partition("_")[0] for line in slurm.active()])


def test_a_job_that_always_fails_is_a_lost_result_and_its_evidence_is_in_it(
    slurm: slurm_world.Slurm, tmp_path: Path
) -> None:
    [task] = tasks(1, write_onnx(tmp_path / "relu.onnx"), **QUICK)
    folder = a_sweep(tmp_path / "sweep", (task,), setup="echo no such module >&2; exit 3")
    [result] = [saved.result for saved in engine.run(folder, Console())]
    assert isinstance(result.outcome, Failed)
    assert result.sweep
    assert (result.outcome.kind, result.sweep.attempt) == (Ending.LOST, 2)
    assert "lost 2 times" in result.outcome.message
    assert "exit code 3:0" in result.outcome.details
    assert "no such module" in result.outcome.details
    nodes = {event.note.partition(" on ")[2].partition(" ")[0] for event in events(folder, What.LOST)}
    assert nodes == {"n1", "n2"}  # the second attempt avoids the first one's node


def test_a_sweep_whose_nodes_all_refuse_is_stopped(slurm: slurm_world.Slurm, tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "relu.onnx")
    changed = f"echo >> {tmp_path}/sweep/sweep.json"  # the nodes see another one than was submitted
    folder = a_sweep(tmp_path / "sweep", tasks(6, model, **QUICK), at_once=2, setup=changed)
    with pytest.raises(UsageError, match=r"isobench can't measure on the nodes: .* holds another sweep"):
        list(engine.run(folder, Console()))
    assert not outcomes(folder)
    assert not SlurmExecutor(folder.sweep.options).pending(folder)
