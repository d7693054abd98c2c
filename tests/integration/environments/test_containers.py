"""Workers in real containers, by podman and by docker's client on podman's own docker API; the image is made here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import container_world
import onnx
import plugin_world
import pytest
from onnx import TensorProto, helper

from isobench import environments, worker
from isobench.environments import Environment, drift
from isobench.environments.container import engine, running
from isobench.errors import IsobenchError, ProvisionError, WorkerError
from isobench.workers import protocol

pytestmark = pytest.mark.integration

SAMPLES = Path(__file__).parents[2] / "samples" / "workers"
KEPT = Path(__file__).parents[3] / "build" / "test-containers"
ISOBENCH = Path(sys.executable).with_name("isobench")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The ID of an image that has a Python, with podman set up so that it finds it."""
    if shutil.which("podman") is None:
        pytest.skip("podman isn't installed (apt-get install podman)")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in container_world.configured(KEPT).items():
            patch.setenv(name, value)
        engine._examined.cache_clear()
        try:
            identity = container_world.made(KEPT / "image.tar")
            box = running.container(engine.find(), identity, [container_world.PYTHON, "-c", "pass"])
            subprocess.run(box.argv, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"podman can't run containers here: {error}")
        yield identity
        container_world.forget_images()


@pytest.fixture
def home(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ISOBENCH_HOME and an `envs/` of the test's own, with an environment `bare` that is the image alone."""
    home = tmp_path / "home"
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    monkeypatch.setenv("ISOBENCH_ENVS", str(tmp_path / "envs"))
    write_spec(tmp_path / "envs" / "bare", image)
    return home


def write_spec(folder: Path, image: str, **further: str | bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "python-version").write_text(f"{container_world.MINOR}\n")
    said = {"image": image, **further}
    (folder / "container.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items()))


def create(name: str) -> Environment:
    spec = environments.choose(environments.spec(name), note=print)
    return environments.create(spec, progress=print)


@pytest.fixture
def bare(home: Path) -> Environment:
    return create("bare")


class Run:
    """Runs a sample worker in a container."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.run_dir = folder / "run"
        self.stages: list[str] = []

    def __call__(self, script: str | Path, *, timeout_s: float = 60, **given: Any) -> dict[str, Any]:
        script = SAMPLES / f"{script}.py" if isinstance(script, str) else script
        with worker.start(self.environment, script, self.run_dir, threads=1, **given) as process:
            arguments = {
                "output_dir": str(self.run_dir), "onnx_file": "", "iterations": 3,
                "outputs_file": str(self.run_dir / protocol.OUTPUTS_FILE),
            }  # fmt: skip
            request = {"arguments": arguments, "threads": 1, "seed": 0, "pids": str(self.run_dir / "pids")}
            process.go(request, timeout_s=timeout_s)
            return process.finish(self.stages.append)


@pytest.fixture(params=["podman", "docker"])
def run(
    request: pytest.FixtureRequest, bare: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    if request.param == "podman":
        yield Run(bare, tmp_path)
        return
    if shutil.which("docker") is None:
        pytest.skip("docker's client isn't installed")
    with container_world.docker_api() as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        monkeypatch.setenv("ISOBENCH_CONTAINER_ENGINE", "docker")
        engine._examined.cache_clear()
        yield Run(bare, tmp_path)
        engine._examined.cache_clear()


def wait_until_gone(timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while container_world.containers():
        assert time.monotonic() < deadline, container_world.containers()
        time.sleep(0.1)


LOOKS_AROUND = """
import json, os, socket, sys
from harness import request, serve

def execute(output_dir, outputs_file, **_):
    import control
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
        "variables": dict(os.environ), "control": control.state(), "request": request()["threads"],
        "there": {path: os.path.exists(path) for path in sys.argv[1:] + ["/usr/bin/env"]},
    }

serve(execute)
"""


def test_a_worker_sees_its_run_directory_its_share_of_the_machine_and_nothing_else(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    script = tmp_path / "plugin" / "workers" / "looks_around.py"
    script.parent.mkdir(parents=True)
    script.write_text(LOOKS_AROUND)
    told = run(script, control={"cpus": [max(os.sched_getaffinity(0))], "nice": 3})
    assert told["user"] == [os.getuid(), os.getgid()]
    assert (run.run_dir / "own").stat().st_uid == os.getuid()
    assert told["interfaces"] == ["lo"]
    assert told["workers"] == told["environment"] == "Read-only file system"
    assert told["own"] == told["temporary"] == "done"
    assert told["cwd"] == str(run.run_dir)
    assert told["prefix"] == str(run.environment.folder)
    assert told["base"] == "/opt/inside"
    assert told["there"] == {str(run.run_dir): True, "/usr/bin/env": False}
    assert told["control"] == {"affinity": [max(os.sched_getaffinity(0))], "nice": 3, "memory_nodes": []}
    assert {"MALLOC_TOP_PAD_", "OMP_NUM_THREADS"} <= told["variables"].keys()
    assert not {"SECRET_TOKEN", "https_proxy"} & told["variables"].keys()
    assert told["pid"] > 1
    assert run.stages == ["loading"]
    assert (run.run_dir / protocol.LOG_FILE).read_text() == "printed\n"
    assert container_world.containers() == []


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("segfaults", "crash", "was killed by SIGSEGV"),
        ("raises", "RuntimeError", "failed while it was thinking: RuntimeError: no such operator"),
        ("exits", "SystemExit", "left by itself"),
        ("hangs", "timeout", "was stopped after 2 s"),
    ],
)
def test_whatever_a_worker_does_it_is_told_and_the_container_is_removed(run, script, kind, message):
    with pytest.raises(WorkerError, match=message) as caught:
        run(script, timeout_s=2 if script == "hangs" else 60)
    assert caught.value.kind == kind
    wait_until_gone()


HOST = """
import sys
from pathlib import Path
from isobench import environments, worker
folder, script = map(Path, sys.argv[1:])
environment = environments.create(environments.choose(environments.spec("bare"), note=print), progress=print)
with worker.start(environment, script, folder, threads=1) as process:
    request = {"arguments": {"output_dir": str(folder)}, "threads": 1, "seed": 0, "pids": str(folder / "pids")}
    process.go(request, timeout_s=60)
    process.finish(print)
"""


def test_a_container_ends_with_a_host_that_was_killed(run, tmp_path):
    folder = tmp_path / "of-a-host"
    with subprocess.Popen([sys.executable, "-c", HOST, folder, SAMPLES / "hangs.py"]) as host:
        deadline = time.monotonic() + 30
        while not (folder / "pids").exists():
            assert host.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(container_world.containers()) == 1
        host.send_signal(signal.SIGKILL)
    wait_until_gone()


def test_what_a_killed_host_left_behind_is_removed(bare):
    where = engine.new_name().split("-")[1]
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


def test_the_images_own_packages_can_be_used_and_are_written_down(image, home, tmp_path):
    write_spec(tmp_path / "envs" / "vendor", image, image_packages=True, python="python3.11")
    (tmp_path / "envs" / "vendor" / "smoke.py").write_text("import in_image\nassert in_image.ANSWER == 42\n")
    environment = create("vendor")
    manifest = environment.manifest()
    assert manifest["container"]["packages"] == [{"name": "isobench-in-image", "version": "7.1"}]
    assert manifest["container"]["image"] == image
    assert manifest["python"]["path"] == container_world.PYTHON
    assert create("vendor") == environment
    (tmp_path / "envs" / "bare" / "smoke.py").write_text("import in_image\n")
    with pytest.raises(ProvisionError, match="its smoke test") as caught:
        create("bare")
    assert "No module named 'in_image'" in caught.value.details
    assert container_world.containers() == []


def test_an_image_by_its_digest_is_the_same_by_its_name(image, home, tmp_path):
    named = container_world.digest_of(image)
    write_spec(tmp_path / "envs" / "named", named)
    assert create("named").image == named


def test_an_image_is_pulled_once_and_only_what_its_digest_says(image, home, tmp_path):
    with container_world.registry(image, tmp_path) as (reference, asked):
        write_spec(tmp_path / "envs" / "pulled", reference)
        assert create("pulled").image == reference
        assert any("/team/inside/manifests/sha256:" in path for path in asked)
        asked.clear()
        environments.remove("pulled")
        create("pulled")
        assert asked == []
        other = f"{reference.partition('@')[0]}@sha256:{'0' * 64}"
        write_spec(tmp_path / "envs" / "forged", other)
        with pytest.raises(ProvisionError, match=r"podman can't pull 127\.0\.0\.1") as caught:
            create("forged")
        assert "digest" in caught.value.details


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ({"image": f"sha256:{'0' * 64}"}, "podman has no image sha256:000", "load or build it with podman"),
        ({"image": f"localhost:1/none@sha256:{'0' * 64}"}, "podman can't pull localhost:1/none@", "podman pull"),
        ({"python": "python2.7"}, "can't run python2.7", "container.toml"),
        ({"version": "3.12"}, r"has Python 3\.11.*; the odd environment is for Python 3\.12", "with Python 3.12"),
        ({"image": "isobench-test:latest"}, "isobench-test:latest names no digest", "it stands for"),
    ],
)
def test_an_image_that_does_not_do_is_refused(said, message, hint, image, home, tmp_path):
    folder = tmp_path / "envs" / "odd"
    version = said.pop("version", "")
    write_spec(folder, **{"image": image, "python": container_world.PYTHON, **said})
    if version:
        (folder / "python-version").write_text(version)
    with pytest.raises(IsobenchError, match=message) as caught:
        create("odd")
    assert hint in caught.value.hint
    assert container_world.containers() == []
    assert list((home / "environments").glob("odd-*/*")) == []


def test_an_environment_in_a_container_is_compared_as_any_other(bare):
    drift.check(bare)
    assert drift.verify(bare) == []
    (bare.site_packages / "sitecustomize.py").write_text("print('here')")
    with pytest.raises(ProvisionError, match="was added and belongs to no package") as caught:
        drift.check(bare)
    assert "isobench env create bare --provider container" in caught.value.hint


def test_an_image_that_is_gone_is_missed(bare, tmp_path):
    gone = replace(bare, image=f"sha256:{'0' * 64}")
    with pytest.raises(WorkerError, match=r"^podman: the container can't be started$") as caught:
        Run(gone, tmp_path)("well_behaved")
    assert "0000" in caught.value.details
    assert "podman images" in caught.value.hint
    assert drift.verify(gone) == [f"its image, {gone.image}, is gone"]


def isobench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(ISOBENCH), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = x @ x."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 8])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "square", [x], [y])
    path = tmp_path / "square.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_locked_runtime_is_measured_in_a_container(image, model, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    monkeypatch.setenv("ISOBENCH_CONTAINER_IMAGE", image)
    last = str(max(os.sched_getaffinity(0)))
    done = isobench(
        "run", "-r", "ort", "--provider", "container", "--cpus", last, "--threads", 1,
        "--iterations", 20, "--json", model,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    environment = result["environment"]
    assert (environment["provider"], environment["image"]) == ("container", image)
    assert "onnxruntime" in " ".join(environment["packages"])
    assert result["provenance"]["container"]["engine"] == "podman"
    assert result["provenance"]["container"]["id"] == image
    worker_saw = result["provenance"]["worker"]
    assert worker_saw["affinity"] == [int(last)]
    assert worker_saw["executable"].startswith(str(home / "environments"))
    assert any(one["path"].startswith("/opt/inside/") for one in worker_saw["native_libraries"])
    assert result["outcome"]["correctness"]["ok"]
    assert container_world.containers() == []

    rows = json.loads(isobench("env", "list", "--json").stdout)
    assert [(row["state"], row["provider"]) for row in rows if row["name"] == "ort"] == [("ready", "container")]
    assert isobench("env", "verify", "ort", "--provider", "container").returncode == 0
    assert "removed" in isobench("env", "remove", "ort").stdout


PLUGIN = """
from isobench.runtimes.worker_rt import WorkerRT

class InsideRT(WorkerRT):
    environment = "inside"
    worker = "inside_worker.py"
    package = "isobench-in-image"

implements = {"runtimes": {"inside": {
    "supported_devices": ["x86", "cpu"], "docker_required": True, "RuntimeClass": InsideRT,
}}}
"""
WORKER = """
import array
import in_image
from harness import measure, request, serve
import protocol

def execute(output_dir, onnx_file, outputs_file, iterations):
    model = request()["model"]
    assert open(onnx_file, "rb").read()
    (x,) = protocol.read_tensors(model["inputs_file"])
    rows, columns = x.shape
    flat = array.array("f", x.data)

    def call():
        return [
            sum(flat[row * columns + k] * flat[k * columns + column] for k in range(columns))
            for row in range(rows) for column in range(columns)
        ]

    def tensors(found):
        name = model["onnx_outputs"][0]["source"]
        return [protocol.Tensor(name, "float32", x.shape, array.array("f", found).tobytes())]

    measure(call, outputs_file, iterations, outputs=tensors, load_s=0.0, facts={"answer": in_image.ANSWER})

serve(execute)
"""


def test_a_plugins_runtime_that_requires_it_runs_in_its_own_image(
    image, model, tmp_path, monkeypatch, provisioned
):
    home = tmp_path / "home"
    (home / "environments").mkdir(parents=True)
    monkeypatch.setenv("ISOBENCH_HOME", str(home))
    # The expected outputs come of it, outside of any container.
    ort = provisioned("ort").folder
    (home / "environments" / ort.name).symlink_to(ort)
    inside = plugin_world.install(
        tmp_path / "site", monkeypatch, PLUGIN, package="inside_plugin", workers__inside_worker_py=WORKER
    )
    spec = inside / "envs" / "inside"
    write_spec(spec, image, image_packages=True)
    lock = environments.spec("ort").lock_file.read_text()
    (spec / "requirements.in").write_text("msgpack\n")
    (spec / "requirements.txt").write_text(re.search(r"(?m)^msgpack==(.*\\\n)*.*\n", lock)[0])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    done = isobench("run", "-r", "inside", "--iterations", 10, "--json", model)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["runtime"]["version"] == "7.1"
    assert result["environment"]["provider"] == "container"
    assert result["environment"]["image_packages"] == ["isobench-in-image==7.1"]
    assert result["outcome"]["facts"]["answer"] == 42
    assert result["outcome"]["correctness"]["ok"]
    assert result["outcome"]["runs"][0]["cold_start"]["start_s"] > 0
    assert container_world.containers() == []
