"""What lies in the cache is measured only as it was made: each file of a build, changed in each way, is made again.

ISOBENCH_TRIALS=all tries every file and way; otherwise, another ONNX file in place of a build's own, and a FIFO.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.integration

ALL = os.environ.get("ISOBENCH_TRIALS") == "all"
FILES = ("../onnx/*/model.onnx", "../onnx/*/weights.bin", "inputs.msgpack", "expected.msgpack")


def write_model(path: Path, scale: float) -> Path:
    """y = x @ w, with w in a file beside it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array((np.arange(64, dtype=np.float32).reshape(8, 8) * scale), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def _other(file: Path, other: Path) -> None:
    """The same file of another model, of the same size."""
    source = other.parent / file.name if file.suffix != ".msgpack" else None
    content = bytearray(source.read_bytes() if source else file.read_bytes())
    content[-1] ^= 1 if source is None or source.read_bytes() == file.read_bytes() else 0
    about = file.stat()
    file.chmod(0o644)
    file.write_bytes(content)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def _link(file: Path, _: Path) -> None:
    shutil.move(file, file.with_name("copy"))
    file.symlink_to("copy")


def _fifo(file: Path, _: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path, _: Path) -> None:
    file.unlink()
    file.mkdir()


WAYS: dict[str, Callable[[Path, Path], object]] = {
    "other": _other,
    "fifo": _fifo,
    "cut off": lambda file, _: os.truncate(file, 10),
    "empty": lambda file, _: os.truncate(file, 0),
    "missing": lambda file, _: file.unlink(),
    "link": _link,
    "folder": _folder,
}
TRIALS = [(name, way) for name in FILES for way in WAYS] if ALL else [(FILES[0], "other"), (FILES[3], "fifo")]


def test_what_was_changed_in_the_cache_is_built_again_and_not_measured(ort_home: Path, tmp_path: Path) -> None:
    model, other = write_model(tmp_path / "a" / "net.onnx", 1.0), write_model(tmp_path / "b" / "model.onnx", 2.0)
    command = [
        sys.executable,
        "-m",
        "isobench",
        "run",
        "-r",
        "ort",
        "--iterations",
        "3",
        "--no-select",
        "--json",
        model,
    ]

    def measure() -> tuple[dict[str, object], str]:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stderr
        [result] = json.loads(ended.stdout)
        assert result["ending"] == "ok"
        return result["model"], ended.stderr

    first, _ = measure()
    [build] = (ort_home / "builds").glob("[0-9a-f]*")
    for name, way in TRIALS:
        [file] = build.glob(name) if ".." not in name else (ort_home / "builds").glob(name.removeprefix("../"))
        content = file.read_bytes()
        WAYS[way](file, other)
        again, errors = measure()
        assert f"{file.name} " in errors, (name, way)
        assert "it is built again" in errors, (name, way)
        assert again == first, (name, way)
        assert not file.is_symlink()
        assert file.read_bytes() == content, (name, way)
    if not ALL:
        return
    # Nothing of a model whose parts are whole is built again.
    assert measure()[1].count("built again") == 0
    assert hashlib.sha256((model.parent / "weights.bin").read_bytes()).hexdigest() in (build / "build.json").read_text()
