"""Workers in real containers, by podman and by docker's client on podman's own docker API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import container_world
import pytest

from isobench import paths
from isobench.environments import Environment, verification
from isobench.environments.container import engine, running
from isobench.errors import WorkerError
from isobench.workers import protocol

pytestmark = pytest.mark.integration


def wait_until_gone(timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while container_world.containers():
        assert time.monotonic() < deadline, container_world.containers()
        time.sleep(0.1)


LOOKS_AROUND = """
import json, os, socket, sys
from harness import request, serve

def execute(output_dir, outputs_file, **_):
    import resource_limits
    def tried(what):
        try:
            what()
        except OSError as error:
            return error.strerror
        return "done"
    print("printed")
    return {
        "pid": os.getpid(), "user": [os.getuid(), os.getgid()], "cwd": os.getcwd(), "prefix": sys.prefix,
        "base": sys.base_prefix, "interfaces": [name for _, name in socket.if_nameindex()],
        "workers": tried(lambda: open(os.path.join(os.path.dirname(sys.argv[0]), "new"), "w")),
        "environment": tried(lambda: open(os.path.join(sys.prefix, "new"), "w")),
        "own": tried(lambda: open(os.path.join(output_dir, "own"), "w")),
        "temporary": tried(lambda: open(os.path.join(os.environ["TMPDIR"], "new"), "w")),
        "variables": dict(os.environ), "control": resource_limits.state(), "request": request()["threads"],
        "there": {path: os.path.exists(path) for path in sys.argv[1:] + ["/usr/bin/env"]},
    }

serve(execute)
"""


def test_a_worker_sees_its_run_directory_its_share_of_the_machine_and_nothing_else(
    run: container_world.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    script = tmp_path / "plugin" / "workers" / "looks_around.py"
    script.parent.mkdir(parents=True)
    script.write_text(LOOKS_AROUND)
    reported = run(script, resources={"cpus": [max(os.sched_getaffinity(0))], "nice": 3})
    assert reported["user"] == [os.getuid(), os.getgid()]
    assert (run.run_dir / "own").stat().st_uid == os.getuid()
    assert reported["interfaces"] == ["lo"]
    assert reported["workers"] == reported["environment"] == "Read-only file system"
    assert reported["own"] == reported["temporary"] == "done"
    assert reported["cwd"] == str(run.run_dir)
    assert reported["prefix"] == str(run.environment.folder)
    assert reported["base"] == "/opt/inside"
    assert reported["there"] == {str(run.run_dir): True, "/usr/bin/env": False}
    assert reported["control"] == {"affinity": [max(os.sched_getaffinity(0))], "nice": 3, "memory_nodes": []}
    assert {"MALLOC_TOP_PAD_", "OMP_NUM_THREADS"} <= reported["variables"].keys()
    assert not {"SECRET_TOKEN", "https_proxy"} & reported["variables"].keys()
    assert reported["pid"] > 1
    assert run.stages == ["loading"]
    assert (run.run_dir / protocol.LOG_FILE).read_text() == "printed\n"
    assert container_world.containers() == []


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("segfaults", "crash", "was killed by SIGSEGV"),
        ("raises", "exception", r"failed while loading \(thinking\): RuntimeError: no such operator"),
        ("exits", "exception", "called sys.exit"),
        ("hangs", "timeout", "was killed after 2 s"),
    ],
)
def test_whatever_a_worker_does_it_is_reported_and_the_container_is_removed(
    run: container_world.Run, script: str, kind: str, message: str
) -> None:
    with pytest.raises(WorkerError, match=message) as caught:
        run(script, timeout_s=2 if script == "hangs" else 60)
    assert caught.value.kind == kind
    wait_until_gone()


HOST = """
import sys
from pathlib import Path
from isobench import environments
from isobench.supervisor import worker_process
from isobench.supervisor.request import Request
folder, script = map(Path, sys.argv[1:])
environment = environments.create(environments.choose(environments.spec("bare"), note=print), progress=print)
with worker_process.start(environment, script, folder, threads=1) as process:
    process.go(Request(arguments={"output_dir": str(folder)}, threads=1, seed=0), timeout_s=60)
    process.finish(print)
"""


def test_a_container_ends_with_a_host_that_was_killed(run: container_world.Run, tmp_path: Path) -> None:
    folder = tmp_path / "of-a-host"
    with subprocess.Popen([sys.executable, "-c", HOST, folder, container_world.SAMPLES / "hangs.py"]) as host:
        deadline = time.monotonic() + 30
        while not (folder / "pids").exists():
            assert host.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(container_world.containers()) == 1
        host.send_signal(signal.SIGKILL)
    wait_until_gone()


def test_what_a_killed_host_left_behind_is_removed(bare: Environment) -> None:
    where = paths.owner().rsplit("-", 2)[0]
    name = f"isobench-{where}-{os.getpid()}-1-abcdef"  # of a process that had our number before us
    box = running.of(bare, ["-c", "import time; time.sleep(600)"], env={})
    mine = subprocess.Popen(box.argv, stdin=subprocess.PIPE)
    argv = [part.replace(box.name, name) for part in box.argv]
    orphan = subprocess.Popen(argv, stdin=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while len(container_world.containers()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert engine.find().remove_leftovers() == [name]
    assert container_world.containers() == [box.name]
    box.remove()
    for process in (mine, orphan):
        process.communicate()
    assert container_world.containers() == []


def test_an_image_that_is_gone_is_missed(bare: Environment, tmp_path: Path) -> None:
    gone = replace(bare, image=f"sha256:{'0' * 64}")
    with pytest.raises(WorkerError, match=r"^podman: the container can't be started$") as caught:
        container_world.Run(gone, tmp_path)("well_behaved")
    assert "0000" in caught.value.details
    assert "podman images" in caught.value.hint
    assert verification.verify(gone) == [f"its image {gone.image} is missing"]
