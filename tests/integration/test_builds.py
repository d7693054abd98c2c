"""Models are built, cached, and rebuilt when a file that they depended on has changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobench import builds, environments, paths
from isobench.builds import Build, cache
from isobench.builds.make import _key
from isobench.environments import Environment
from isobench.errors import ModelError
from isobench.planning.models import Model
from isobench.planning.settings import Settings
from isobench.workers import protocol

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[1] / "samples" / "scripts"
EXAMPLES = Path(__file__).parents[2] / "examples" / "models"
SETTINGS = Settings(threads=1, timeout_s=120)


@pytest.fixture(autouse=True)
def own_home(home: Path, provisioned: Callable[[str], Environment]) -> None:
    provisioned("torch")
    provisioned("ort")


def environment(model: Model) -> Environment:
    found = environments.find(environments.spec("torch" if model.is_script else "ort"))
    assert found is not None
    return found


def make(path: Path, *, onnx: bool = True, settings: Settings = SETTINGS, **model: Any) -> list[Build]:
    chosen = Model(path=path, **model)
    return builds.make(chosen, onnx=onnx, environment=environment(chosen), settings=settings, on_stage=lambda _: None)


def find(path: Path, *, onnx: bool = True, settings: Settings = SETTINGS, **model: Any) -> list[Build] | None:
    chosen = Model(path=path, **model)
    return builds.find(chosen, onnx=onnx, environment=environment(chosen), settings=settings)


def test_each_model_of_a_script_becomes_a_build_with_a_valid_file_inputs_and_outputs() -> None:
    perceptron, tagger = make(EXAMPLES / "two_models.py")
    assert (perceptron.name, tagger.name) == ("two_models.Perceptron", "two_models.Tagger")
    assert perceptron.onnx is not None
    assert perceptron.onnx.exporter == "dynamo"
    assert perceptron.onnx_file is not None
    onnx.checker.check_model(str(perceptron.onnx_file), full_check=True)
    [rows] = protocol.read_tensors(perceptron.inputs_file)
    assert (rows.name, rows.dtype, rows.shape) == ("args.0", "float32", (16, 64))
    assert [(one.name, one.dtype) for one in protocol.read_tensors(tagger.expected_file)] == [
        ("output.tags", "int64"),
        ("output.certainty", "float32"),
    ]
    assert perceptron.deterministic


def test_inputs_and_outputs_of_every_kind_are_in_the_file() -> None:
    [nested] = make(SCRIPTS / "nested.py")
    assert nested.onnx is not None
    given = protocol.read_tensors(nested.inputs_file)
    assert {binding.source for binding in nested.onnx.inputs} == {tensor.name for tensor in given}
    expected = [tensor.name for tensor in protocol.read_tensors(nested.expected_file)]
    assert [binding.source for binding in nested.onnx.outputs] == expected
    assert expected[:2] == ["output.answer.total", "output.answer.parts.0"]


def test_a_build_is_found_until_something_that_it_depends_on_changes(tmp_path: Path) -> None:
    script = tmp_path / "imports_its_neighbour.py"
    shutil.copy(SCRIPTS / "imports_its_neighbour.py", script)
    neighbour, sizes = tmp_path / "neighbour.py", tmp_path / "sizes.txt"
    neighbour.write_text("WIDTH = 4\n")
    sizes.write_text("3")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert find(script) is None
        made = make(script)
        assert find(script) == made
        assert find(script, onnx=False) == made, "a build with an ONNX file is used where none is required, too"
        assert find(script, settings=Settings(threads=1, seed=1)) is None
        assert find(script, script_args=("--more",)) is None
        for file, text in ((neighbour, "WIDTH = 5\n"), (sizes, "2"), (script, script.read_text() + "\n")):
            old = file.read_text()
            file.write_text(text)
            assert find(script) is None, f"{file.name} was changed"
            file.write_text(old)
            assert find(script) == made, f"{file.name} has its old content"
        neighbour.unlink()
        assert find(script) is None


def test_a_build_is_stale_when_a_file_changes_that_native_code_reads(tmp_path: Path, torch_python: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "script").mkdir()
    script, weights = tmp_path / "script" / "native.py", tmp_path / "else" / "model.ts"
    save = "import sys, torch; torch.manual_seed(int(sys.argv[2])); "
    save += "torch.jit.script(torch.nn.Linear(4, 4)).save(sys.argv[1])"
    script.write_text(
        "import pathlib, torch\nname = '.'.join(['model', 'ts'])\n"
        "torch.jit.load(pathlib.Path(__file__).parents[1] / 'else' / name)(torch.ones(1, 4))\n"
    )
    subprocess.run([torch_python, "-c", save, weights, "1"], check=True)
    made = make(script, onnx=False)
    assert find(script, onnx=False) == made
    subprocess.run([torch_python, "-c", save, weights, "2"], check=True)
    assert find(script, onnx=False) is None


def test_a_runtime_that_needs_no_onnx_file_does_not_wait_for_one() -> None:
    built = make(EXAMPLES / "two_models.py", onnx=False)
    assert [build.onnx for build in built] == [None, None]
    assert find(EXAMPLES / "two_models.py", onnx=False) == built
    assert find(EXAMPLES / "two_models.py", onnx=True) is None


def test_one_model_is_built_by_its_hash_and_found_among_all() -> None:
    [tagger] = make(EXAMPLES / "two_models.py", hash="b4b5")
    assert tagger.class_name == "Tagger"
    assert find(EXAMPLES / "two_models.py", hash="b4b5") == [tagger]
    assert find(EXAMPLES / "two_models.py") is None
    perceptron, _ = make(EXAMPLES / "two_models.py")
    [found] = find(EXAMPLES / "two_models.py", hash="e01e") or []
    assert (found.id, found.name) == (perceptron.id, perceptron.name) == (found.id, "two_models.Perceptron")


def test_a_sub_model_is_built_with_the_inputs_from_its_parent() -> None:
    [gru] = make(EXAMPLES / "two_models.py", hash="85b7", settings=Settings(threads=1, max_depth=1))
    assert (gru.class_name, gru.max_depth) == ("torch.nn.modules.rnn.GRU", 1)
    assert gru.signature == "(float32[4, 20, 64])"


def test_the_user_chooses_the_opset() -> None:
    [build] = make(EXAMPLES / "two_models.py", hash="e01e", settings=Settings(threads=1, opset=18))
    assert build.onnx is not None
    assert build.onnx.opset == 18
    assert build.onnx_file is not None
    assert onnx.load(build.onnx_file, load_external_data=False).opset_import[0].version == 18


@pytest.mark.parametrize("opset", [12, 99])
def test_an_opset_that_is_not_supported_is_never_replaced_by_another(opset: int) -> None:
    [build] = make(EXAMPLES / "two_models.py", hash="e01e", settings=Settings(threads=1, opset=opset))
    if build.onnx is not None:
        assert build.onnx.opset == opset
    else:
        assert build.onnx_error is not None
        assert f"requested: {opset}" in build.onnx_error.message


def test_the_older_exporter_takes_what_the_newer_refuses_and_is_named() -> None:
    [build] = make(SCRIPTS / "branches.py")
    assert build.onnx is not None
    assert build.onnx.exporter == "torchscript"


def test_a_model_that_would_be_frozen_to_a_constant_is_refused_with_its_line() -> None:
    [build] = make(SCRIPTS / "cannot_export.py")
    assert build.onnx is None
    with pytest.raises(ModelError) as caught:
        build.require_onnx()
    error = caught.value
    assert error.kind == "export-failed"
    assert "cannot_export can't be exported to ONNX: RuntimeError: .numpy() is not supported" in error.message
    assert "y = self.linear(x).detach().numpy()" in error.details
    assert (build.folder / "export.log").exists()
    assert "torch-eager" in error.hint
    assert find(SCRIPTS / "cannot_export.py") is None, "a failed export isn't cached: it may succeed next time"


def big_file(folder: Path) -> Path:
    """An ONNX file with its weights in another file."""
    weight = numpy_helper.from_array(np.eye(32, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 32])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "big.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights/big.bin", size_threshold=0)
    return path


def test_an_onnx_file_with_external_data_becomes_a_build_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    path = big_file(tmp_path)
    [build] = make(path, dimensions={"rows": 3})
    assert find(path, dimensions={"rows": 3}) == [build]
    assert find(path, dimensions={"rows": 4}) is None
    assert build.onnx_file is not None
    assert (build.onnx_file.parent / "weights" / "big.bin").read_bytes() == (
        tmp_path / "weights" / "big.bin"
    ).read_bytes()
    [given], [expected] = protocol.read_tensors(build.inputs_file), protocol.read_tensors(build.expected_file)
    assert given.shape == expected.shape == (3, 32)
    assert given.data == expected.data, "the weights are the unit matrix"
    (tmp_path / "weights" / "big.bin").write_bytes(bytes(32 * 32 * 4))
    assert find(path, dimensions={"rows": 3}) is None


def test_a_model_that_can_not_run_is_reported_with_onnx_runtimes_message(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "x"], ["y"])],
        "g",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    path = tmp_path / "wrong.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(ModelError, match=r"ONNX Runtime can't load the model: .*ncompatible dimensions"):
        make(path)


def test_where_drawn_values_can_not_be_right_the_message_names_the_input(tmp_path: Path) -> None:
    nodes = [helper.make_node("Mul", ["s", "s"], ["t"]), helper.make_node("Reshape", ["x", "t"], ["y"])]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6]),
        helper.make_tensor_value_info("s", TensorProto.INT64, [2]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])]
    path = tmp_path / "squares.onnx"
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(ModelError) as caught:
        make(path)
    wanted = (
        "s (drawn: integers from 0 to 9) is the A operand of the Mul that computes t. ONNX Runtime can't run the model"
    )
    assert caught.value.message.startswith(f"values that isobench drew may not be valid for the model: {wanted}")
    assert caught.value.hint.startswith("Give the right ones: --fill s=VALUE, or --inputs FILE.")


FIND_OR_MAKE = """
import sys
from pathlib import Path
from isobench import builds, environments, paths
from isobench.planning.models import Model
from isobench.planning.settings import Settings
[build] = builds.find_or_make(
    Model(path=Path(sys.argv[1])),
    onnx=True,
    environment=environments.find(environments.spec("ort")),
    settings=Settings(threads=1, timeout_s=120),
    on_stage=lambda stage: print(stage, flush=True),
)
print(build.id)
"""


def test_processes_that_need_the_same_build_make_it_once(tmp_path: Path) -> None:
    file = tmp_path / "relu.onnx"
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    command = [sys.executable, "-c", FIND_OR_MAKE, str(file)]
    # Both wait before one of them may begin.
    key = _key(Model(path=file), "", True, environment(Model(path=file)), SETTINGS)
    with cache.lock_of(key, "the build", on_wait=print):
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for process in processes:
            assert process.stdout.readline().startswith("the build of relu is in use by pid ")
    outputs = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    found, made = sorted(outputs, key=len)
    assert len(found) == 1, "one finds it in the cache as soon as it has the lock"
    assert made[0] == "reading the file"
    assert found[-1] == made[-1]
    assert list((paths.builds() / "index").glob("*.lock")) == []
