"""What the host knows of an `.ort` file, ONNX Runtime's own format: a worker reads its signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isobench.builds import onnx_file
from isobench.builds.onnx_file import OnnxFile
from isobench.builds.sizes import Fixed
from isobench.builds.workers import run_directory, run_worker
from isobench.environments import Environment
from isobench.errors import ModelError
from isobench.planning.models import Model
from isobench.planning.settings import Settings

if TYPE_CHECKING:
    import onnx

REFERENCE = "onnxruntime, on one thread: the .ort file is already optimised"
NOTE = "an .ort file is already optimised: the expected outputs are those of the same graph"

FIXED = Fixed(named={}, written=())
"""Its sizes stay open: its graph was optimised before they were known."""


def read(model: Model, *, environment: Environment, settings: Settings, on_stage: Callable[[str], None]) -> OnnxFile:
    """The file's signature, as a graph without nodes.

    Raises:
        ModelError: ONNX Runtime can't load it.
        WorkerError: the worker crashed or took too long.
    """
    file = model.path.absolute()
    library = model.custom_op_library
    arguments = {"file": str(file), **({"custom_op_library": str(library)} if library else {})}
    reads = [file, *([library] if library else [])]
    with run_directory("describe") as run_dir:
        found = run_worker("describe_ort_worker.py", arguments, run_dir, environment, settings, on_stage, reads=reads)
    return of_signature(model, found["inputs"], found["outputs"])


def of_signature(model: Model, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> OnnxFile:
    """The file that a session describes: `name`, `kind` (`seq(tensor(float))`) and `shape` of each value.

    Raises:
        ModelError: a value has a type that isobench doesn't know.
    """
    import onnx

    given, made = ([_value(entry, model) for entry in entries] for entries in (inputs, outputs))
    graph = onnx.helper.make_graph([], model.path.stem, given, made)
    return onnx_file.of_model(model.path, onnx.helper.make_model(graph, opset_imports=[]))


def _value(entry: Mapping[str, Any], model: Model) -> onnx.ValueInfoProto:
    import onnx

    try:
        kind = _type(entry["kind"], entry["shape"])
    except ValueError:
        raise ModelError(f"{model.path}: {entry['name']} has the type {entry['kind']}, which isn't supported") from None
    return onnx.helper.make_value_info(entry["name"], kind)


def _type(kind: str, shape: Sequence[int | str | None]) -> onnx.TypeProto:
    """The type that ONNX Runtime writes as `kind`.

    Raises:
        ValueError: there is none.
    """
    import onnx

    outer, _, inner = kind.removesuffix(")").partition("(")
    if outer == "tensor":
        return onnx.helper.make_tensor_type_proto(_number(inner), shape)
    if outer == "seq":
        return onnx.helper.make_sequence_type_proto(_type(inner, []))
    if outer == "optional":
        return onnx.helper.make_optional_type_proto(_type(inner, shape))
    if outer == "map":
        key, _, value = inner.partition(",")
        return onnx.helper.make_map_type_proto(_number(key), _type(value, []))
    raise ValueError(kind)


def _number(name: str) -> int:
    import onnx

    return int(onnx.TensorProto.DataType.Value(name.upper()))
