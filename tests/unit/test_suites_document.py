"""docs/suites.md: its examples are suites that can be planned, its tables are generated, and it has every key."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from isobench.planning import suite_file, suite_keys
from isobench.preflight.sweep import sweep

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
EXAMPLES = {title: found[1] for title, body in SECTIONS if (found := re.search(r"```toml\n(.*?)```", body, re.DOTALL))}
TASKS = {
    "The smallest one": 2 + 1,  # torch-eager runs no .onnx file, so the test has no zoo/*.onnx on it
    "How do I take several batch sizes?": 3 + 3,
    "How do I take several threads, or arguments of a runtime?": 3 * 2 + 3 * 2,
    "How do I change how a case is measured?": 1,
    "How do I give one model its own values?": 2 * 2 * 2 + 1 + 2 * 2,
    "How do I leave combinations out, or add some?": 2 * 2 * 2 * 2 - 2 + 2 * 2,
    "In what order, and how often?": 5,
    "Labels": 2,
    "Inputs and variables": 2 * 2 * 2,
    "Devices and executors": 3,
}


def saved(path: Path, **inputs: list[Any]) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    nodes = [helper.make_node("Identity", [value.name], [f"of {value.name}"]) for value in values]
    outputs = [helper.make_tensor_value_info(f"of {value.name}", TensorProto.FLOAT, None) for value in values]
    path.parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values, outputs)), path)


def laboratory(folder: Path, text: str) -> None:
    """The files that the examples name."""
    (folder / "zoo").mkdir()
    for name in ("model", "a", "b", "bert", "resnet", "zoo/one"):
        (folder / f"{name}.py").write_text("# labels: task::nlp\n")
    if "shape =" in text:
        saved(folder / "model.onnx", image=["n", 3, "h", "w"], tokens=["batch", 4], mask=["batch", 4])
    else:
        saved(folder / "model.onnx", x=["batch" if "dim =" in text else 1, 4])
    saved(folder / "zoo" / "two.onnx", x=[1, 4])
    saved(folder / "large" / "three.onnx", x=["batch", 4], mask=["batch", 4])
    for batch in (1, 8):
        np.save(folder / f"tokens-{batch}.npy", np.zeros((batch, 4), np.float32))


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_has_the_tasks_that_the_text_says(tmp_path: Path, title: str) -> None:
    text = EXAMPLES[title].replace('environment = "my-torch"\n', "").replace('cpus = "0-3"', "cpus = 0")
    if title == "The smallest one":
        text = text.replace('"zoo/*.onnx"', '{ path = "zoo/*.onnx", runtimes = "ort" }')
    laboratory(tmp_path, text)
    (tmp_path / "suite.toml").write_text(text, encoding="utf-8")
    assert len(sweep(suite_file.load(tmp_path / "suite.toml")).tasks) == TASKS[title]


def test_every_example_has_a_number_of_tasks() -> None:
    assert list(EXAMPLES) == list(TASKS)


def test_the_tables_of_keys_are_those_of_the_code() -> None:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.filled(TEXT, generate.suite_tables()) == TEXT, "make docs writes them again"


def test_every_key_is_explained_outside_of_the_tables() -> None:
    prose = re.sub(r"<!-- generated.*?<!-- end -->", "", TEXT, flags=re.DOTALL)
    assert not [key.name for key in suite_keys.TOP if not re.search(rf"\b{key.name}\b", prose)]
