"""Computes the networks of deep_networks.py in one environment.

    python deep_networks_worker.py ENVIRONMENT WORKERS FOLDER FIRST COUNT

In `torch` it makes each network in FOLDER/NUMBER, as isobench's export worker does, and computes it eagerly, compiled
and in fewer bits; in `ort` and `openvino` it runs model.onnx. Outputs are written to NAME.msgpack.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVIRONMENT, WORKERS, FOLDER = sys.argv[1:4]
NUMBERS = range(int(sys.argv[4]), int(sys.argv[4]) + int(sys.argv[5]))
sys.path.insert(0, WORKERS)

import protocol  # noqa: E402 - lies in WORKERS


def _path(number: int, name: str) -> str:
    return str(Path(FOLDER, str(number), name))


def _about(number: int) -> dict[str, Any]:
    return dict(json.loads(Path(_path(number, "network.json")).read_text()))


def run_torch() -> None:
    import deep_networks_models
    import torch

    import pytrees
    import to_onnx
    import torch_rounding

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for number in NUMBERS:
        kind, network, module, args = deep_networks_models.make(number)
        Path(FOLDER, str(number)).mkdir()

        def outputs(args: Any, kwargs: Any, seed: int, module: Callable[..., Any] = module) -> list[protocol.Tensor]:
            torch.manual_seed(seed)
            with torch.inference_mode():
                return [pytrees.to_file("output", module(*args, **kwargs))]

        @contextmanager
        def called(module: Any = module, args: Any = args) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
            with torch.no_grad():
                yield module, args, {}

        def write(name: str, tensors: list[protocol.Tensor], number: int = number) -> None:
            protocol.write_tensors(_path(number, f"{name}.msgpack"), tensors)

        write("inputs", [pytrees.to_file(f"args.{place}", arg) for place, arg in enumerate(args)])
        write("expected", outputs(args, {}, 0))
        rounding = torch_rounding.evaluate(module, args, {}, outputs, str(Path(FOLDER, str(number))), 0)
        exported = to_onnx.export(called, _path(number, "model.onnx"), output_names=["output"], opset=None)
        if "error" in exported:
            raise RuntimeError(f"{network} can't be exported: {exported['error']['message']}")
        torch.set_num_threads(1)  # another partition of the work than that of the expected outputs
        write("torch-eager", outputs(args, {}, 0))
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        torch._dynamo.reset()
        write("torch-compiled", outputs(args, {}, 0, torch.compile(module)))
        for arithmetic in ("bfloat16", "tf32", "float16"):
            with deep_networks_models.Rounded(arithmetic):
                write(arithmetic, outputs(args, {}, 0))
        about = {"kind": kind, "network": network, "rounding": rounding, "inputs": exported["inputs"]}
        Path(_path(number, "network.json")).write_text(json.dumps(about))
        print(f"{number}: {network}", flush=True)


def run_ort() -> None:
    import onnxruntime

    import ort_session

    for number in NUMBERS:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        session = onnxruntime.InferenceSession(_path(number, "model.onnx"), options, ["CPUExecutionProvider"])
        given = {tensor.name: tensor for tensor in protocol.read_tensors(_path(number, "inputs.msgpack"))}
        values = ort_session.values(session, given, _about(number)["inputs"])
        protocol.write_tensors(_path(number, "ort.msgpack"), ort_session.evaluate(session, values))


def run_openvino() -> None:
    import openvino

    import openvino_worker
    import tensors

    core = openvino.Core()
    threads = int(os.environ["OMP_NUM_THREADS"])
    for number in NUMBERS:
        given = {tensor.name: tensor for tensor in protocol.read_tensors(_path(number, "inputs.msgpack"))}
        network = core.read_model(_path(number, "model.onnx"))
        compiled = core.compile_model(network, "CPU", openvino_worker._config("f32", threads, pinning=False))
        values = {entry["name"]: tensors.to_array(given[entry["source"]]) for entry in _about(number)["inputs"]}
        [output] = compiled(values).values()
        protocol.write_tensors(_path(number, "openvino.msgpack"), [tensors.from_array("output", output)])


if __name__ == "__main__":
    {"torch": run_torch, "ort": run_ort, "openvino": run_openvino}[ENVIRONMENT]()
