from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from isobench.builds import onnx_file, sizes
from isobench.builds.onnx_file import OnnxFile
from isobench.errors import UsageError
from isobench.planning.models import Model
from isobench.tools.load_onnx import LoadOnnx

FLOAT = TensorProto.FLOAT


def saved(path: Path, **inputs: list[Any] | None) -> Path:
    values = [helper.make_tensor_value_info(name.replace("_", " "), FLOAT, shape) for name, shape in inputs.items()]
    nodes = [helper.make_node("Identity", [value.name], [f"of {value.name}"]) for value in values]
    outputs = [helper.make_tensor_value_info(f"of {value.name}", FLOAT, None) for value in values]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values, outputs)), path)
    return path


@pytest.fixture
def mlp(tmp_path: Path) -> OnnxFile:
    return onnx_file.read(saved(tmp_path / "mlp.onnx", x=["batch", 4], scale=["batch", None]))


def read(folder: Path, **inputs: list[Any] | None) -> OnnxFile:
    return onnx_file.read(saved(folder / "m.onnx", **inputs))


def shapes(specs: list[Any]) -> list[tuple[int, ...]]:
    return [spec.shape for spec in specs]


def test_sizes_are_fixed_by_name_and_by_shape(mlp: OnnxFile) -> None:
    assert shapes(sizes.settle(mlp, {"batch": 8}, {"scale": (8, 3)})) == [(8, 4), (8, 3)]
    # One shape fixes the name for all of them.
    assert shapes(sizes.settle(mlp, {}, {"scale": (5, 3)})) == [(5, 4), (5, 3)]


def test_zero_is_a_size(tmp_path: Path) -> None:
    found = read(tmp_path, past=["batch", "past", 8], fixed=[0, 4])
    assert found.inputs[1].shape == (0, 4)
    assert shapes(sizes.settle(found, {"batch": 1, "past": 0}, {})) == [(1, 0, 8), (0, 4)]
    assert sizes.fixed(found, sizes.settle(found, {"batch": 1, "past": 0}, {})).named == {"batch": 1, "past": 0}
    with pytest.raises(UsageError, match="dimension 0 must be 0, as in the file, got 2"):
        sizes.settle(found, {"batch": 1, "past": 0}, {"fixed": (2, 4)})


@pytest.mark.parametrize("name", ["?", "None", "", "-1", "*", "unknown"])
def test_a_placeholder_is_not_one_dimension(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, a=[name, name], b=[name, name])
    assert shapes(sizes.settle(found, {}, {"a": (2, 3), "b": (3, 5)})) == [(2, 3), (3, 5)]
    with pytest.raises(UsageError, match="without a fixed size") as caught:
        sizes.settle(found, {}, {"a": (2, 3)})
    assert caught.value.hint == "Fix them, for example: --shape b=1,1"
    fixed = sizes.fixed(found, sizes.settle(found, {}, {"a": (2, 3), "b": (3, 5)}))
    assert (fixed.named, fixed.written) == ({}, ("a", "b"))
    if name:  # then an option may give all of them the same size
        assert shapes(sizes.settle(found, {name: 4}, {"a": (2, 3)})) == [(2, 3), (4, 4)]


def test_names_that_only_look_alike_are_names(tmp_path: Path) -> None:
    found = read(tmp_path, a=["unk__1"], b=["unk__2"])
    assert shapes(sizes.settle(found, {"unk__1": 2, "unk__2": 3}, {})) == [(2,), (3,)]


def test_a_shape_takes_precedence_over_a_name(mlp: OnnxFile) -> None:
    specs = sizes.settle(mlp, {"batch": 2}, {"x": (3, 4), "scale": (2, 1)})
    assert shapes(specs) == [(3, 4), (2, 1)]
    # The name has two sizes, so it can't fix them in the graph.
    fixed = sizes.fixed(mlp, specs)
    assert (fixed.named, fixed.written) == ({}, ("x", "scale"))


def test_expressions_are_calculated(tmp_path: Path) -> None:
    found = read(tmp_path, past=["batch", "past"], mask=["batch", "past + 1"], half=["height//2", "Max(1, batch)"])
    specs = sizes.settle(found, {"past": 16, "height": 9}, {"past": (1, 16)})
    assert shapes(specs) == [(1, 16), (1, 17), (4, 1)]
    assert sizes.fixed(found, specs).named == {
        "batch": 1,
        "past": 16,
        "past + 1": 17,
        "height//2": 4,
        "Max(1, batch)": 1,
    }
    assert shapes(sizes.settle(found, {"batch": 1, "past": 16, "past + 1": 20, "height": 2}, {}))[1] == (1, 20)
    with pytest.raises(UsageError, match="without a fixed size") as caught:
        sizes.settle(found, {"batch": 1}, {})
    assert caught.value.hint == "Fix them, for example: --dim height=8 --dim past=8"
    found = read(tmp_path, x=["n - 3"])
    with pytest.raises(UsageError, match="the size n - 3 is -1, below 0, with n = 2"):
        sizes.settle(found, {"n": 2}, {})


def test_open_sizes_are_refused_with_the_options_to_fix_them(mlp: OnnxFile) -> None:
    with pytest.raises(UsageError, match=r"scale: float32\[batch, \?\]") as caught:
        sizes.settle(mlp, {}, {})
    assert caught.value.hint == "Fix them, for example: --dim batch=8 --shape scale=8,1"


def test_the_options_of_a_hint_fix_the_sizes_when_they_are_pasted_into_a_shell(tmp_path: Path) -> None:
    from isobench.planning import selection

    found = read(tmp_path, my_input=["batch size", None], other=["it's $HOME + 1", 3])
    with pytest.raises(UsageError) as caught:
        sizes.settle(found, {}, {})
    words = shlex.split(caught.value.hint.removeprefix("Fix them, for example: "))
    options = list(zip(words[::2], words[1::2], strict=True))
    dims = selection.dimensions([text for option, text in options if option == "--dim"])
    given = selection.shapes([text for option, text in options if option == "--shape"])
    assert shapes(sizes.settle(found, dims, given)) == [(8, 1), (8, 3)]


def test_an_input_of_any_rank_needs_a_shape(tmp_path: Path) -> None:
    found = read(tmp_path, x=None, scalar=[])
    assert (found.unranked, shapes(sizes.settle(found, {}, {"x": (2, 4)}))) == ({"x"}, [(2, 4), ()])
    assert sizes.fixed(found, sizes.settle(found, {}, {"x": (2, 4)})).written == ("x",)
    with pytest.raises(UsageError, match="x: float32 of any rank") as caught:
        sizes.settle(found, {}, {})
    assert "--shape x=1,8" in caught.value.hint


@pytest.mark.parametrize(
    ("dimensions", "given", "message"),
    [
        ({"bach": 8}, {}, "no dynamic dimension 'bach'"),
        ({}, {"z": (1,)}, "no input 'z'"),
        ({}, {"x": (2, 5)}, "dimension 1 must be 4, as in the file, got 5"),
        ({}, {"x": (2,)}, r"--shape x must have 2 dimensions \(x: float32\[\?, 4\]\), got 1"),
        ({}, {"x": (2, 4), "scale": (3, 1)}, "dimension batch must have one size, got 2 in x and 3 in scale"),
        ({"batch": 2**60}, {"scale": (2**60, 1)}, "input x is too large"),
    ],
)
def test_sizes_that_contradict_the_file_are_refused(
    mlp: OnnxFile, dimensions: dict[str, int], given: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        sizes.settle(mlp, dimensions, given)


def test_of_several_files_each_takes_the_options_that_it_has_a_use_for(tmp_path: Path) -> None:
    dynamic = saved(tmp_path / "dynamic.onnx", x=["batch", "past + 1"])
    static = saved(tmp_path / "static.onnx", y=[1, 4])
    (tmp_path / "m.py").write_text("")
    paths = (dynamic, static, tmp_path / "m.py")

    def fitting(dimensions: dict[str, int], given: dict[str, tuple[int, ...]]) -> list[Any]:
        models = [Model(path=path, dimensions=dimensions, shapes=given) for path in paths]
        return [(model.dimensions, model.shapes) for model in sizes.fitting(models)[:2]]

    assert fitting({"batch": 2, "past": 3}, {"y": (1, 4)}) == [
        ({"batch": 2, "past": 3}, {}),
        ({}, {"y": (1, 4)}),
    ]
    with pytest.raises(UsageError, match="no dynamic dimension 'bach'") as caught:
        fitting({"bach": 2}, {})
    assert caught.value.hint == "The files have: batch, past, past + 1."
    with pytest.raises(UsageError, match="no input 'z'"):
        fitting({}, {"z": (1,)})
    static.write_text("no model")  # it is refused when it is built
    assert fitting({"bach": 2}, {})[1] == ({"bach": 2}, {})


def test_sizes_that_names_can_not_fix_are_written_into_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, x=["n", None], any=None, named=["n"])
    specs = {spec.name: spec for spec in sizes.settle(found, {}, {"x": (2, 3), "any": ()})}
    fixed = sizes.fixed(found, list(specs.values()))
    assert (fixed.named, fixed.written) == ({"n": 2}, ("x", "any"))
    written = onnx_file.with_sizes(found, {name: specs[name] for name in fixed.written})
    (tmp_path / "fixed.onnx").write_bytes(written)
    again = onnx_file.read(tmp_path / "fixed.onnx")
    assert [spec.shape for spec in again.inputs] == [(2, 3), (), (None,)]
    assert again.unranked == frozenset()


def test_the_sizes_of_load_onnx_are_for_those_of_several_files_that_have_them(tmp_path: Path) -> None:
    dynamic, static = saved(tmp_path / "d.onnx", x=["batch", 4]), saved(tmp_path / "s.onnx", y=[1, 4])
    models = [Model(path=dynamic), Model(path=static)]
    sized = LoadOnnx(dim=["batch=2"], shape=["y=1,4"]).with_sizes(models)
    assert [(model.dimensions, model.shapes) for model in sized] == [({"batch": 2}, {}), ({}, {"y": (1, 4)})]
    [alone] = LoadOnnx(dim=["batch=2"]).with_sizes(models[1:])
    assert alone.dimensions == {"batch": 2}  # refused when it is read
    with pytest.raises(UsageError, match="no dynamic dimension 'bach'"):
        LoadOnnx(dim=["bach=2"]).with_sizes(models)


def test_a_batch_without_size_or_name_is_one_where_nothing_else_is_open(tmp_path: Path) -> None:
    assert sizes.batches_of_one(read(tmp_path, x=[None, 4], y=[2, 3]), []) == {"x": (1, 4)}
    assert sizes.batches_of_one(read(tmp_path, x=["?", 4], y=[None, 2, 2]), []) == {"x": (1, 4), "y": (1, 2, 2)}
    assert sizes.batches_of_one(read(tmp_path, x=[None, 4], y=[None, 4]), ["y"]) == {}
    for other in (["n", 4], [None, None], [None], None):
        assert sizes.batches_of_one(read(tmp_path, x=[None, 4], y=other), []) == {}
