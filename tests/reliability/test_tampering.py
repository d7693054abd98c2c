"""What lies in the cache is measured only as it was made: each file of a build, changed in each way, is made again.

ISOBENCH_TRIALS=all tries every file and way; otherwise, another byte in a build's ONNX file, and a FIFO.
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


def write_model(path: Path) -> Path:
    """y = x @ w, with w in a file beside it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.arange(64, dtype=np.float32).reshape(8, 8), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def _another_byte(file: Path) -> None:
    """The same size and times, but the last byte is another."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    about = file.stat()
    file.chmod(0o644)
    file.write_bytes(content)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def _link(file: Path) -> None:
    shutil.move(file, file.with_name("copy"))
    file.symlink_to("copy")


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


WAYS: dict[str, Callable[[Path], object]] = {
    "another byte": _another_byte,
    "fifo": _fifo,
    "cut off": lambda file: os.truncate(file, 10),
    "empty": lambda file: os.truncate(file, 0),
    "missing": Path.unlink,
    "link": _link,
    "folder": _folder,
}
TRIALS = [(name, way) for name in FILES for way in WAYS] if ALL else [(FILES[0], "another byte"), (FILES[3], "fifo")]


def test_what_was_changed_in_the_cache_is_built_again_and_not_measured(ort_home: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "a" / "net.onnx")
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
        WAYS[way](file)
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
