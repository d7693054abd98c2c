"""Jobs are done by child processes, which are gone afterwards whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sample_sweeps
from descriptors import few_descriptors

from isobench import environments
from isobench.console import Console
from isobench.environments import specs
from isobench.errors import IsobenchError, WorkerError
from isobench.executors import jobs, making
from isobench.executors.jobs import BuildJob, EnvironmentJob, Made, SequenceJob
from isobench.executors.lookups import Lookups, MissingError, SharedCases, key_of
from isobench.failures import Ending, Phase
from isobench.planning.models import Model, Step
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.settings import Settings

QUIET = Console(quiet=True)
NET = Model(path=Path("/models/net.py"), script_args=("--n=1",), env={"A": "b"})
SETTINGS = Settings(threads=1, seed=3)
BUILD = BuildJob(model=NET, settings=SETTINGS, onnx=True)
SEQUENCE = SequenceJob(model=NET, settings=SETTINGS, runtime=RuntimeChoice(name="ort"), device="x86")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOBENCH_PROVIDER", "venv")
    return tmp_path / "home"


def unlocked(folder: Path, name: str = "mine") -> EnvironmentJob:
    """An environment that can't be installed, because there is no lock."""
    (folder / name).mkdir(parents=True)
    (folder / name / "python-version").write_text("3.11\n")
    return EnvironmentJob(spec=replace(specs.spec("ort"), name=name, folder=folder / name, lock_file=folder / "none"))


@pytest.mark.parametrize("job", [BUILD, SEQUENCE, EnvironmentJob(spec=specs.spec("ort"))], ids=lambda job: job.kind)
def test_a_job_survives_the_way_to_its_maker(job: jobs.Job) -> None:
    assert jobs.job_from_json(json.loads(json.dumps(jobs.to_json(job)))) == job


def test_what_was_made_and_errors_survive_the_way_back() -> None:
    made = Made(steps=(Step(tool="convert-fp16", alters=True),))
    assert jobs.made_from_json(json.loads(json.dumps(jobs.made_to_json(made))), SEQUENCE) == made
    error = WorkerError("it crashed", kind=Ending.CRASH, hint="h", details="d", phase=Phase.LOADING, cause="c")
    back = jobs.error_from_json(json.loads(json.dumps(jobs.error_to_json(error))))
    assert jobs.error_to_json(back) == jobs.error_to_json(error)
    assert back.kind is Ending.CRASH


def test_each_job_that_fails_is_reported_with_its_own_reason(tmp_path: Path) -> None:
    some = [unlocked(tmp_path, "one"), unlocked(tmp_path, "two"), BuildJob(model=NET, settings=SETTINGS, onnx=False)]
    found = {job.label: answer for job, answer in making.make(some, QUIET)}
    assert set(found) == {"installing one", "installing two", "building net"}
    for label, text in (
        ("installing one", "the one environment isn't locked"),
        ("building net", "/models/net.py can't be read"),
    ):
        answer = found[label]
        assert isinstance(answer, IsobenchError)
        assert text in answer.message


def test_a_maker_that_is_killed_fails_its_job_alone(tmp_path: Path) -> None:
    some = [unlocked(tmp_path, "one"), unlocked(tmp_path, "two")]
    before = children()
    killed = []

    class Kills(Console):
        def stage(self, text: str) -> None:
            if text == "installing one":
                killed.extend(children() - before)
                os.kill(killed[0], 9)

    found = {job.label: answer for job, answer in making.make(some, Kills(quiet=True))}
    first, second = found["installing one"], found["installing two"]
    assert isinstance(first, IsobenchError)
    assert isinstance(second, IsobenchError)
    assert first.message == "the process that was installing one was killed by signal 9"
    assert "isn't locked" in second.message


GARBAGE = [
    b"garbage",
    b"[1]",
    b"3",
    b'{"answer": 3}',
    b'{"answer": {"builds": [], "folders": ["/x"], "steps": []}}',
    b'{"answer": {"builds": [{}], "folders": ["/x"], "steps": []}}',
    b'{"error": {}}',
    b'{"error": {"message": "m", "hint": "", "details": "", "kind": "?", "phase": "?", "cause": ""}}',
    b'{"stage": "s"}' + b"[" * 200_000,
    b"\xff\x00",
]


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
def test_a_maker_that_writes_garbage_fails_each_of_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    (tmp_path / "rogue_maker.py").write_text(f"import os, sys\nos.write(int(sys.argv[1]), {line!r} + b'\\n')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(making, "_CHILD", "rogue_maker")
    some = [BUILD, replace(BUILD, onnx=False)]
    answers = [answer for _, answer in making.make(some, QUIET)]
    assert len(answers) == 2
    for answer in answers:
        assert isinstance(answer, IsobenchError)
        assert answer.kind is Ending.PROTOCOL
        assert "wrote a malformed line: " in answer.message


def test_where_no_maker_can_be_started_each_job_fails(tmp_path: Path, home: Path) -> None:
    some = [unlocked(tmp_path, "one"), unlocked(tmp_path, "two")]
    home.mkdir()
    with few_descriptors(1):  # a file, but no pipe
        found = {job.label: answer for job, answer in making.make(some, QUIET)}
    messages = [answer.message for answer in found.values() if isinstance(answer, IsobenchError)]
    assert messages == ["installing one failed: Too many open files", "installing two failed: Too many open files"]


def test_no_maker_is_left_when_its_host_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from isobench.console import Console\n"
        "from isobench.executors import jobs, making\n"
        "maker = making._Maker(jobs.log_file())\n"
        "print(maker._popen.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    (tmp_path / "home" / "runs").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        maker = int(host.stdout.readline())
        assert is_alive(maker)
        host.kill()
    deadline = time.monotonic() + 10
    while is_alive(maker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(maker)


def test_no_maker_is_left_when_the_host_is_interrupted(tmp_path: Path) -> None:
    before = children()
    seen: list[int] = []

    class Interrupts(Console):
        def stage(self, text: str) -> None:
            seen.extend(children() - before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(making.make([unlocked(tmp_path)], Interrupts(quiet=True)))
    assert seen
    assert not any(map(is_alive, seen))


def test_as_many_builds_are_made_at_once_as_there_are_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isobench.system.devices.default_threads", lambda: 8)
    for free, number in ((100 << 30, 4), (7 << 30, 2), (1 << 30, 1), (None, 1)):
        monkeypatch.setattr("isobench.system.memory.available_bytes", lambda free=free: free)
        assert making.at_once([BUILD] * 4) == number


def test_environments_come_before_builds_and_a_build_with_onnx_before_one_without() -> None:
    lookups = Lookups(QUIET)
    plain = replace(BUILD, onnx=False)
    environment = EnvironmentJob(spec=specs.spec("ort"))
    for key, job in (("plain", plain), ("onnx", BUILD), ("environment", environment)):
        assert isinstance(lookups.lacks(key, job), MissingError)
    assert lookups.take() == {"environment": environment}
    lookups.lacks("plain", plain)
    lookups.lacks("onnx", BUILD)
    assert lookups.take() == {"onnx": BUILD}
    lookups.lacks("plain", plain)
    assert lookups.take() == {"plain": plain}


def test_a_job_that_is_at_work_isnt_begun_again_and_one_that_made_nothing_is_an_error() -> None:
    lookups = Lookups(QUIET)
    lookups.lacks("onnx", BUILD)
    assert lookups.take() == {"onnx": BUILD}
    assert isinstance(lookups.lacks("onnx", BUILD), MissingError)
    assert lookups.take() == {}
    lookups.learn("onnx", Made())
    assert not isinstance(lookups.lacks("onnx", BUILD), MissingError)


def test_a_look_up_that_failed_fails_again_without_looking() -> None:
    lookups = Lookups(QUIET)
    lookups.learn("onnx", IsobenchError("it can't be built"))
    for _ in range(2):
        with pytest.raises(IsobenchError, match="it can't be built"):
            lookups.once("onnx", lambda: pytest.fail("looked"))


@pytest.mark.parametrize(("phase", "is_tried"), [(Phase.RUNNING_SCRIPT, False), (Phase.EXPORTING, True)])
def test_a_script_that_fails_before_its_export_isnt_run_again_without_one(phase: Phase, is_tried: bool) -> None:
    lookups = Lookups(QUIET)
    lookups.lacks(key_of(BUILD), BUILD)
    assert lookups.take() == {key_of(BUILD): BUILD}
    job = replace(BUILD, onnx=False)
    plain = key_of(job)
    lookups.lacks(plain, job)
    crash = WorkerError("it crashed", kind=Ending.CRASH, phase=phase)
    lookups.learn(key_of(BUILD), crash)
    assert lookups.take() == ({plain: job} if is_tried else {})
    if is_tried:
        assert lookups.once(plain, Made) == Made()
    else:
        with pytest.raises(WorkerError, match="it crashed"):
            lookups.once(plain, Made)


def children() -> set[int]:
    """The children of this process: makers, and what an earlier test has left."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_provider_of_an_environment_is_chosen_once_however_many_tasks_need_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def choose(spec: specs.Spec, *, note: Callable[[str], None]) -> specs.Spec:
        note(f"{spec.name}: using provider venv: conda channel unreachable")
        return replace(spec, provider="venv")

    monkeypatch.setattr(environments, "choose", choose)
    lookups = Lookups(Console())
    for name in ("a", "b"):
        shared = SharedCases(sample_sweeps.task(name).plan, lookups)
        with pytest.raises(MissingError):
            shared.ready(specs.spec("ort"))
    assert capsys.readouterr().err.count("conda channel unreachable") == 1
