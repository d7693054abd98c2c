"""Suites that are checked, and what comes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isobench.planning import suite_file
from isobench.planning.suite import SuiteError
from isobench.preflight.sweep import sweep
from isobench.sweeps.task import Sweep, Task

HEAD = 'schema = "isobench.suite/1"\n'


def swept(folder: Path, text: str, **options: Any) -> Sweep:
    file = folder / "suite.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    return sweep(suite_file.load(file), **options)


def error_of(folder: Path, text: str, **options: Any) -> SuiteError:
    with pytest.raises(SuiteError) as caught:
        swept(folder, text, **options)
    return caught.value


def rows(made: Sweep) -> list[tuple[str, str, dict[str, Any]]]:
    return [row(task) for task in made.tasks]


def row(task: Task) -> tuple[str, str, dict[str, Any]]:
    """Model, runtimes and place in the matrix."""
    assert task.plan.sweep is not None
    return task.plan.models[0].name, " ".join(map(str, task.plan.runtimes)), dict(task.plan.sweep.axes)


def model(path: Path, **inputs: list[Any]) -> None:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    nodes = [helper.make_node("Identity", [value.name], [f"of {value.name}"]) for value in values]
    outputs = [helper.make_tensor_value_info(f"of {value.name}", TensorProto.FLOAT, None) for value in values]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values, outputs)), path)


def models_of(made: Sweep) -> list[Any]:
    return [task.plan.models[0] for task in made.tasks]
