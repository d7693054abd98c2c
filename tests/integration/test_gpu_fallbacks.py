"""A silent fallback to the CPU is an error, and TF32 is as requested: with CPU builds of ONNX Runtime and PyTorch."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from isobench import paths

pytestmark = pytest.mark.integration

PROLOGUE = """
import json, sys
sys.path.insert(0, {workers!r})
from harness import Refused

def refused(what, *arguments, **options):
    try:
        what(*arguments, **options)
    except Refused as error:
        return [error.kind, error.message, error.hint]

"""
ORT = """
import onnxruntime
import ort_cuda_worker

file, reported = {file!r}, []
session = lambda **options: refused(
    ort_cuda_worker._session, file, onnxruntime.SessionOptions(), 7, tf32=False, **options
)
reported.append(session(cpu_fallback=False))
# ONNX Runtime uses the CPU if the provider exists, but the libraries of CUDA or the driver are missing.
onnxruntime.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
reported += [session(cpu_fallback=False), session(cpu_fallback=True)]
print(json.dumps(reported))
"""
TORCH = """
import torch
import torch_cuda

class Left(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.ones(2))

    def _apply(self, fn, recurse=True):
        return self  # like a module that doesn't move its table

reported = [refused(torch_cuda.placed, Left(), (), {{}})]
torch.cuda.is_available, torch.cuda.set_device = lambda: True, lambda _: None
reported.append(refused(torch_cuda.placed, Left(), (), {{}}))
print(json.dumps(reported))
"""
TF32 = """
import torch
import torch_cuda
import torch_worker

backends, reported = torch.backends, {{}}
script, requested = {script!r}, {requested!r}
exec(script)
reported["before"] = torch_worker._matmul_precision()
torch_cuda.use_tf32(requested == "on")
reported["after"] = torch_worker._matmul_precision()
reported["in effect"] = [
    place.fp32_precision for place in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, backends.cudnn)
]
reported["older names"] = [backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32]
print(json.dumps(reported))
"""


def _reported(python: Path, work: str, **values: str) -> Any:
    text = (PROLOGUE + work).format(workers=str(paths.WORKERS), **values)
    done = subprocess.run([python, "-I", "-B", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_onnx_runtime_that_would_take_the_cpu_is_refused(ort_python: Path, tmp_path: Path) -> None:
    given, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [given], [result])
    file = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    no_build, no_session, on_cpu = _reported(ort_python, ORT, file=str(file))
    assert no_build[0] == "provider-fallback"
    assert "this build of ONNX Runtime has no CUDAExecutionProvider" in no_build[1]
    assert "isobench doctor --device nvidia" in no_build[2]
    for kind, message, _ in (no_session, on_cpu):
        assert kind == "provider-fallback"
        assert message.startswith("ONNX Runtime would not run this on the GPU: ")


def test_a_module_that_would_stay_on_the_cpu_is_refused(torch_python: Path) -> None:
    without_cuda, left = _reported(torch_python, TORCH)
    assert without_cuda[0] == "device-missing"
    assert "(a build without CUDA) finds none" in without_cuda[1]
    assert left[0] == "provider-fallback"
    assert left[1] == "the module's table would stay on the CPU while the model runs on the GPU"
    assert "Register it as a parameter or a buffer" in left[2]


@pytest.mark.parametrize(
    "script",
    [
        "pass",
        "backends.fp32_precision = 'tf32'",
        "backends.cudnn.fp32_precision = 'tf32'; backends.cuda.matmul.fp32_precision = 'tf32'",
        "backends.cudnn.rnn.fp32_precision = 'tf32'; torch.set_float32_matmul_precision('medium')",
    ],
)
@pytest.mark.parametrize("requested", ["on", "off"])
def test_tf32_is_as_requested_whatever_a_script_has_set(torch_python: Path, script: str, requested: str) -> None:
    reported = _reported(torch_python, TF32, script=script, requested=requested)
    assert reported["before"]
    assert reported["after"] == ("high" if requested == "on" else "highest")
    assert reported["in effect"] == ["tf32" if requested == "on" else "ieee"] * 4
    assert reported["older names"] == [requested == "on"] * 2
