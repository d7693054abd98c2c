"""Files and variables that isobench reads, with accidents: each command ends with a message, and nothing hangs.

Every trial takes a file that is whole, mangles it, and runs a command that reads it; now and then, what lies there
isn't even a file.
"""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from called import TRACES, check
from fuzzing import fuzz, mangled
from onnx_forms import external, model, value, written

from isobench import plugins
from isobench.environments import scripts
from isobench.errors import IsobenchError

pytestmark = pytest.mark.integration

LIST = b"# models\nbad.onnx  # a comment\n\n./ba*.onnx\n"
SCRIPT = b"""# /// script
# requires-python = ">=3.11"
# dependencies = ["transformers==5.2.0", "numpy"]
# ///
import torch
"""
SUITE = b"""schema = "isobench.suite/1"
name = "night"
attempts = 2
models = ["open.onnx", { path = "good.onnx", labels = { size = "{batch}" }, runtimes = ["ort"] }]
runtimes = ["ort", { name = "ort", args = { graph_optimization = "basic" } }]
devices = ["x86"]
dim = { n = "{batch}" }

[matrix]
batch = [1, 2]
processes = [1, 2]

[settings]
threads = 1
min-time = 0.1
timeout = "compile=600,measure=60"

[rt-args]
spinning = false
"""
ENVIRONMENT = b"""name: my-env
channels:
  - conda-forge
dependencies:
  - python 3.11.*
  - numpy=2.1
  - pip:
    - requests==2.32
"""
CONDA_LOCK = b"""version: 1
metadata:
  content_hash: {linux-64: abc}
  channels: []
  platforms: [linux-64]
  sources: []
package:
- name: numpy
  version: 2.1.0
  manager: conda
  platform: linux-64
  dependencies: {}
  url: file:///nowhere/linux-64/numpy-2.1.0-0.conda
  hash:
    md5: 00000000000000000000000000000abc
    sha256: 0000000000000000000000000000000000000000000000000000000000000abc
  category: main
  optional: false
"""
LOCK = b"numpy==2.1.0 \\\n    --hash=sha256:" + b"0" * 64 + b"\n"
ENTRY_POINTS = b"[console_scripts]\nx = y:z\n\n[isobench.plugins]\nmine = no_such_module.plugin:implements\n"
IMAGE = b'"docker.io/library/python@sha256:' + b"0" * 64 + b'"\n'
CONFIG = b'provider = "venv"\ncontainer_image = ' + IMAGE
MARKER = json.dumps(
    {
        "schema": "isobench.environment/2",
        **dict.fromkeys(("name", "identity", "platform", "lock_sha256", "lock_file", "created_at"), "x"),
        "provider": "venv",
        "python": {"version": "3.11.7", "implementation": "cpython", "path": "/x", "size_bytes": 1, "mtime_ns": 2},
        "pyvenv_cfg": {"home": "/x"},
        "packages": [{"name": "numpy", "version": "2", "record_sha256": "0"}],
        "tools": {"uv": "1"},
    }
).encode()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=np.zeros((2, 3), np.float32))
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 3), np.float32))
    return stream.getvalue()


def _safetensors() -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(24)


def _pickled() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00v\x00" + head + b"cos\nsystem\n(S'touch unpickled'\ntR.")
    return stream.getvalue()


INPUTS = {
    "x.npz": _npz(),
    "x.npy": _npy(),
    "x.safetensors": _safetensors(),
    "x.pb": onnx.numpy_helper.from_array(np.zeros((2, 3), np.float32), "x").SerializeToString(),
    "x.bin": bytes(24),
    "x.json": json.dumps([{"x": {"array": b64encode(_npy()).decode(), "polygraphy_class": "ndarray"}}]).encode(),
    "pickled.npz": _pickled(),
}
SPEC = {
    "environment.yml": ENVIRONMENT,
    "conda-lock.yml": CONDA_LOCK,
    "requirements.txt": LOCK,
    "requirements.in": b"numpy>=2\n-c other.txt\n",
    "python-version": b"3.11\n",
    "container.toml": b"image = " + IMAGE,
    "device": b"nvidia\n",
    "sdists": b"numpy\n",
}
VARIABLES = {
    "ISOBENCH_HOME",
    "ISOBENCH_ENVS",
    "ISOBENCH_PROVIDER",
    "ISOBENCH_DEVICE_LOCKS",
    "ISOBENCH_CHANNEL_TIMEOUT",
    "ISOBENCH_CONTAINER_IMAGE",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "TMPDIR",
    "HOME",
    "COLUMNS",
    "PATH",
    "LANG",
    "TERM",
}
VALUES = (
    *("", " ", "relative", "./x", "..", "/dev/null", "/proc/self/mem", "/dev/zero", "/proc/self/fd/0", "/proc/1/root"),
    *(
        "x" * 300,
        "/" + "x" * 5000,
        "/x/" * 2000,
        "~",
        "~/x",
        "~nobody/x",
        "~nosuchuser",
        "a\nb",
        "\x1b[2J",
        "\udcff\udcfe",
    ),
    *(
        "fifo",
        "loop",
        "file",
        "-1",
        "0",
        "nan",
        "1e400",
        "\u00b2",
        "9" * 5000,
        "*",
        "[",
        "conda",
        "venv",
        "$(x)",
        "/",
        "C",
    ),
)


@pytest.fixture
def place(ort_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model that can't be built, and one whose inputs can be drawn."""
    folder = ort_home.parent / "deep" / "folder"
    folder.mkdir(parents=True)
    bad = external("missing.bin")
    bad.graph.input[0].CopyFrom(value(shape=["n", 3]))
    written(folder, bad, "bad.onnx")
    written(folder, model(), "good.onnx")
    written(folder, model(inputs=[value(shape=["n", 3])], outputs=[value("y", None)]), "open.onnx")
    (folder / "file").write_bytes(b"x")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    monkeypatch.chdir(folder)
    return folder


def clear(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    file.unlink(missing_ok=True)


def put(file: Path, whole: bytes, random: Random) -> None:
    """The file with accidents; sometimes something else than a file."""
    clear(file)
    odd = random.randrange(60)
    if odd == 0:
        os.mkfifo(file)
    elif odd == 1:
        file.mkdir()
    elif odd < 6:
        file.symlink_to(("/dev/zero", file.name, "/proc/self/mem", "/nowhere")[odd - 2])
    elif odd < 10:
        file.write_bytes((b"", whole, b"[" * 100_000, b"# /// script\n" * 3000)[odd - 6])
    else:
        file.write_bytes(mangled(whole, random))


def test_the_files_of_models_and_suites_are_whole_before_the_accidents(place: Path) -> None:
    (place / "list.txt").write_bytes(LIST)
    assert "bad.onnx has weights in 'missing.bin'" in check("run", "-r", "ort", "list.txt", "--dim", "n=2").output
    (place / "suite.toml").write_bytes(SUITE)
    assert "10 cases of 2 models on 2 runtimes" in check("sweep", "--dry-run", "suite.toml").output


@pytest.mark.parametrize("name", INPUTS)
def test_the_files_of_inputs_are_whole_before_the_accidents(place: Path, name: str) -> None:
    (place / name).write_bytes(INPUTS[name])
    found = check("inputs", "good.onnx", "--inputs", name)
    if name == "pickled.npz":
        assert "allow_pickle=False" in found.errors
    else:
        assert "given: " in found.output


def test_the_files_of_environments_are_whole_before_the_accidents(
    place: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    spec, config = place / "envs" / "ort", place / "config" / "isobench"
    for folder in (spec, config):
        folder.mkdir(parents=True)
    for name, whole in SPEC.items():
        (spec / name).write_bytes(whole)
    for provider in ("conda", "venv", "container"):
        path = ["env", "path", "ort", "--envs-dir", "envs", "--provider", provider]
        assert "the ort environment does not exist" in check(*path).errors
    run = ["run", "-r", "ort", "bad.onnx", "--envs-dir", "envs", "--provider"]
    assert "Network connectivity is disabled" in check(*run, "venv").output
    assert "'/nowhere/linux-64/numpy-2.1.0-0.conda'" in check(*run, "conda").output
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    (config / "config.toml").write_bytes(CONFIG)
    assert check("env", "list").code == 0
    (home / "environments").unlink()
    made = home / "environments" / "x-venv-0123456789ab"
    made.mkdir(parents=True)
    (made / "isobench-environment.json").write_bytes(MARKER)
    assert "the same packages" in check("env", "diff", made.name, made.name).output


def test_lists_of_models(place: Path) -> None:
    def trial(random: Random) -> None:
        put(place / "list.txt", LIST, random)
        check("run", "-r", "ort", "list.txt", "--dim", "n=2")

    fuzz(trial, seconds=1.5)


def test_suites(place: Path) -> None:
    def trial(random: Random) -> None:
        put(place / "suite.toml", SUITE, random)
        check("sweep", "--dry-run", "suite.toml")

    fuzz(trial, seconds=3)


def test_files_of_inputs(place: Path) -> None:
    def trial(random: Random) -> None:
        name = random.choice(list(INPUTS))
        put(place / name, INPUTS[name], random)
        check("inputs", "good.onnx", "--inputs", random.choice((name, f"x={name}")))
        assert not (place / "unpickled").exists()

    fuzz(trial, seconds=3)


def test_specs_of_environments(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")  # a spec may be whole in a trial: nothing is downloaded
    spec = place / "envs" / "ort"
    spec.mkdir(parents=True)

    def trial(random: Random) -> None:
        for name, whole in SPEC.items():
            if random.random() < 0.3:
                put(spec / name, whole, random)
            else:
                clear(spec / name)
                (spec / name).write_bytes(whole)
        if random.random() < 0.7:
            command = random.choice((["env", "list"], ["env", "path", "ort"]))
            provider = random.choice(([], ["--provider", "conda"], ["--provider", "venv"], ["--provider", "container"]))
        else:  # not in a container, whose image would be pulled
            command = ["run", "-r", "ort", "bad.onnx"]
            provider = random.choice((["--provider", "conda"], ["--provider", "venv"]))
        check(*command, "--envs-dir", "envs", *provider)

    fuzz(trial, seconds=2)


def test_markers_of_environments(place: Path, home: Path) -> None:
    (home / "environments").unlink()
    folder = home / "environments" / "x-venv-0123456789ab"
    folder.mkdir(parents=True)

    def trial(random: Random) -> None:
        put(folder / "isobench-environment.json", MARKER, random)
        check(
            *random.choice((["env", "list"], ["env", "verify", folder.name], ["env", "diff", folder.name, folder.name]))
        )

    assert place.is_dir()
    fuzz(trial, seconds=1.5)


def test_entry_points_of_any_package(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = place / "site" / "other-1.0.dist-info"
    package.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(place / "site")])

    def trial(random: Random) -> None:
        put(package / "entry_points.txt", ENTRY_POINTS, random)
        plugins.forget()
        check("plugins", traces=TRACES[1:])  # it shows why a plugin can't be imported

    try:
        fuzz(trial, seconds=1)
    finally:
        plugins.forget()


def test_configuration(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place / "config" / "isobench"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))

    def trial(random: Random) -> None:
        put(folder / "config.toml", CONFIG, random)
        check(*random.choice((["env", "list"], ["run", "-r", "ort", "bad.onnx"])))

    fuzz(trial, seconds=1)


def test_blocks_of_scripts(place: Path) -> None:
    def trial(random: Random) -> None:
        put(place / "script.py", SCRIPT, random)
        with suppress(IsobenchError):
            scripts.read_block(place / "script.py")

    fuzz(trial, seconds=1)


def test_variables_of_the_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(random: Random) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("HOME", str(place))  # what lies in the user's own is none of this trial's
            patch.delenv("XDG_DATA_HOME", raising=False)
            for name in random.sample(sorted(VARIABLES), random.randint(1, 3)):
                if random.random() < 0.1 and name != "HOME":
                    patch.delenv(name, raising=False)
                else:
                    patch.setenv(name, random.choice(VALUES))
            check(*random.choice(COMMANDS))

    (place / "suite.toml").write_bytes(SUITE)
    fuzz(trial, seconds=2)


COMMANDS = (
    ["list"],
    ["show", "x"],
    ["report", "--csv"],
    ["cache", "list"],
    ["env", "list"],
    ["plugins"],
    ["sweep", "status"],
    ["sweep", "--dry-run", "suite.toml"],
    ["inputs", "good.onnx"],
)
