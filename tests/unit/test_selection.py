from __future__ import annotations

import time
from pathlib import Path

import odd_files
import pytest

from isobench.errors import ModelError, UsageError
from isobench.planning.selection import dimensions, fill_rules, given_files, one, read_labels, select, shapes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("# labels: name::bert task::nlp,text\n")
    (tmp_path / "b.py").write_text("import torch\n")
    (tmp_path / "c.onnx").write_bytes(b"")
    (tmp_path / "notes.md").write_text("")
    return tmp_path


def names(models: list[object]) -> list[str]:
    return [Path(str(model)).name for model in models]


def test_a_script_an_onnx_file_and_a_hash_are_models(folder: Path) -> None:
    models = select([f"{folder}/a.py::12ab34cd", f"{folder}/c.onnx"], script_args=["--n=1"])
    assert [(model.path.name, model.hash, model.is_script) for model in models] == [
        ("a.py", "12ab34cd", True),
        ("c.onnx", "", False),
    ]
    assert models[0].script_args == ("--n=1",)
    assert models[1].script_args == ()


def test_sizes_are_zero_or_more_and_a_shape_may_have_brackets() -> None:
    assert shapes(["x=1,0", "y=[2, 3]", "z=[]", "a=b=4"]) == {"x": (1, 0), "y": (2, 3), "z": (), "a=b": (4,)}
    assert dimensions(["batch size=0", "past + 1=17"]) == {"batch size": 0, "past + 1": 17}
    for text in ("x=1,-1", "x=1,,2", "x=1.5", "x=\u00b2", "x=99999999999999999999"):
        with pytest.raises(UsageError, match="a size must be an integer of at least 0, got"):
            shapes([text])


def test_a_glob_takes_models_only(folder: Path) -> None:
    assert names(list(select([f"{folder}/*"]))) == ["a.py", "b.py", "c.onnx"]


def test_a_list_is_relative_to_its_own_folder(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "models.txt").write_text("# all\n../a.py  # the first\n\n../*.onnx\n")
    assert names(list(select([f"{folder}/deep/models.txt"]))) == ["a.py", "c.onnx"]


def test_a_file_is_what_its_name_says_whatever_characters_it_has(folder: Path) -> None:
    for name in ("yolov8n[640].onnx", "a::b.onnx", "what?.py", "a*.onnx", "#1.onnx"):
        (folder / name).write_bytes(b"")
        assert names(list(select([f"{folder}/{name}"]))) == [name]
    [model] = select([f"{folder}/a::b.onnx::12ab34cd"])
    assert (model.path.name, model.hash, model.name) == ("a::b.onnx", "12ab34cd", "a::b")
    assert names(list(select([f"{folder}/[ab].py"]))) == ["a.py", "b.py"]
    with pytest.raises(ModelError, match=r"x::y/c\.onnx: no such file"):
        select([f"{folder}/x::y/c.onnx"])


def test_two_files_of_one_name_are_distinguished_by_their_folders(folder: Path) -> None:
    for where in ("v1/fp32", "v1/fp16", "v2/fp16"):
        (folder / where).mkdir(parents=True)
        (folder / where / "model.onnx").write_bytes(b"")
    (folder / "model.py").write_text("# labels: name::mine\n")
    models = select([f"{folder}/v1/fp32/model.onnx", f"{folder}/v1/fp16/model.onnx"])
    assert [model.name for model in models] == ["fp32/model", "fp16/model"]
    models = select([f"{folder}/**/model.onnx", f"{folder}/model.py", f"{folder}/c.onnx"])
    assert [model.name for model in models] == ["v1/fp16/model", "fp32/model", "v2/fp16/model", "mine", "c"]
    (folder / "c.py").write_text("import torch\n")
    assert [model.name for model in select([f"{folder}/c.*"])] == ["c.onnx", "c.py"]
    assert [model.name for model in select([f"{folder}/c.py::1", f"{folder}/c.py::2"])] == ["c", "c"]
    (folder / "v1" / "fp16" / "model.py").write_text("import torch\n")
    (folder / "v1" / "fp32" / "model.py").write_text("import torch\n")
    models = select([f"{folder}/v1/*/model.*"])
    assert [model.name for model in models] == [
        f"{bits}/model.{kind}" for bits in ("fp16", "fp32") for kind in ("onnx", "py")
    ]


def test_a_list_may_have_a_byte_order_mark_and_names_with_a_hash_sign(folder: Path) -> None:
    (folder / "b#2.onnx").write_bytes(b"")
    (folder / "l.txt").write_bytes("\ufeffa.py\r\nb#2.onnx # the second\r\n".encode())
    assert names(list(select([f"{folder}/l.txt"]))) == ["a.py", "b#2.onnx"]


def test_a_list_that_can_not_be_read_is_refused(folder: Path) -> None:
    (folder / "latin1.txt").write_bytes(b"a.py\ncaf\xe9.onnx\n")
    with pytest.raises(ModelError, match=r"latin1\.txt isn't encoded in UTF-8: line 2"):
        select([f"{folder}/latin1.txt"])
    (folder / "self.txt").write_text("a.py\nother.txt\n")
    (folder / "other.txt").write_text("./self.txt\n")
    with pytest.raises(UsageError, match=r"self\.txt names itself"):
        select([f"{folder}/self.txt"])
    (folder / "folder.txt").mkdir()
    with pytest.raises(ModelError, match=r"folder\.txt is not a model: it is a folder"):
        select([f"{folder}/folder.txt"])


def test_a_name_that_no_file_can_have_is_not_found(folder: Path) -> None:
    for name in ("a" * 5000 + ".onnx", "\0.onnx"):
        with pytest.raises(ModelError, match="no such file") as caught:
            select([f"{folder}/{name}"])
        assert caught.value.message.isprintable()


def test_the_file_of_another_framework_says_what_it_is(folder: Path) -> None:
    (folder / "llama.gguf").write_bytes(b"GGUF\3\0\0\0")
    with pytest.raises(ModelError, match=r"llama\.gguf is not a model: it is a GGUF file"):
        select([f"{folder}/llama.gguf"])


def test_a_model_that_is_named_twice_is_measured_once(folder: Path) -> None:
    assert names(list(select([f"{folder}/a.py", f"{folder}/../{folder.name}/a.py"]))) == ["a.py"]


def test_labels_name_a_model_and_filter(folder: Path) -> None:
    assert read_labels(folder / "a.py") == {"name": ("bert",), "task": ("nlp", "text")}
    assert read_labels(folder / "b.py") == {}
    for line, labels in (
        ("#labels name::bert author::me", {"name": ("bert",), "author": ("me",)}),
        ("#labels: name::bert", {"name": ("bert",)}),
        ("# labels are on the next line", {}),
        ("# labelsmith: name::bert", {}),
    ):
        (folder / "c.py").write_text(line + "\n")
        assert read_labels(folder / "c.py") == labels
    (folder / "c.py").unlink()
    assert select([f"{folder}/a.py"])[0].name == "bert"
    assert names(list(select([f"{folder}/*.py"], labels=["task::nlp"]))) == ["a.py"]


def test_labels_that_no_model_has_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="no model has the label task::vision") as caught:
        select([f"{folder}/*.py"], labels=["task::vision"])
    assert "# labels:" in caught.value.hint


def test_a_label_without_a_value_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="a label must be KEY::VALUE or KEY::VALUE1,VALUE2, got 'task'"):
        select([f"{folder}/a.py"], labels=["task"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.py", "missing.py: no such file"),
        ("notes.md", "notes.md is not a model"),
        ("", "is not a model"),
        ("*.pt", "no .py, .onnx or .ort file matches"),
        ("empty.txt", "lists no models"),
    ],
)
def test_a_file_that_is_not_a_model_is_refused(folder: Path, name: str, message: str) -> None:
    (folder / "empty.txt").write_text("# nothing yet\n")
    with pytest.raises(ModelError, match=message):
        select([f"{folder}/{name}"])


def test_inputs_are_files_globs_and_files_of_one_input(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz", "x=1.npz", "mask.npy", "feeds.json"):
        (tmp_path / name).write_bytes(b"")
    paths, named = given_files([f"{tmp_path}/[ab].npz", f"mask={tmp_path}/mask.npy", f"{tmp_path}/x=1.npz"])
    assert [path.name for path in paths] == ["a.npz", "b.npz", "x=1.npz"]
    assert named == {"mask": f"@{tmp_path}/mask.npy"}
    assert given_files([f"{tmp_path}/feeds.json[1]"])[0] == (tmp_path / "feeds.json[1]",)
    (tmp_path / "m.py").write_text("")
    [model] = select([f"{tmp_path}/m.py"], inputs=[tmp_path / "a.npz"], fill={"y": "ones"})
    assert (model.inputs, dict(model.fill)) == ((tmp_path / "a.npz",), {"y": "ones"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing.npz", r"--inputs missing\.npz: no such file"),
        ("x=missing.npz", r"--inputs x=missing\.npz: no such file"),
        ("missing/*.npz", r"--inputs missing/\*\.npz: no file matches"),
    ],
)
def test_a_missing_file_of_inputs_is_refused_before_anything_runs(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        given_files([text])


def test_a_rule_for_an_input_is_a_name_and_a_rule() -> None:
    assert fill_rules(["mask=ones", "a=b=2", "x=@a=b.npy"]) == {"mask": "ones", "a=b": "2", "x": "@a=b.npy"}
    with pytest.raises(UsageError, match="--fill must be NAME=RULE, got 'mask'"):
        fill_rules(["mask"])


def test_files_of_inputs_among_the_models_say_how_they_are_given(tmp_path: Path) -> None:
    np_file = tmp_path / "b.npz"
    np_file.write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        select([str(np_file)])
    assert "Values of inputs are given by --inputs: quote a glob, or repeat the option." in caught.value.hint


@pytest.mark.parametrize("pattern", ["[" * 100_000, "*" * 100_000, "**/" * 1000 + "*.onnx", "[!" * 2000 + ".onnx"])
def test_a_pattern_that_no_path_can_match_takes_no_time(tmp_path: Path, pattern: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"no \.py, \.onnx or \.ort file matches"):
        select([pattern], folder=tmp_path)
    assert time.monotonic() - began < 5


def test_repeated_stars_match_what_two_of_them_match(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "m.onnx").touch()
    assert [model.path for model in select(["**/**/**/*.onnx"], folder=tmp_path)] == [tmp_path / "a" / "b" / "m.onnx"]


def test_what_must_be_one_model_names_those_that_it_stands_for(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.py").touch()
    with pytest.raises(UsageError, match=r"must be one model here, got 4: .*a\.py, .*b\.py, .*c\.py, \.\.\."):
        one("*.py", folder=tmp_path)


NAMES = {
    "fifo": "named pipe",
    "socket": "socket",
    "folder": "folder",
    "device": "device",
    "loop": "link that leads nowhere",
    "dangling link": "link that leads nowhere",
}


@pytest.mark.parametrize("kind", odd_files.MAKERS)
def test_what_is_no_file_is_refused_by_what_it_is(tmp_path: Path, kind: str) -> None:
    odd_files.MAKERS[kind](tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=NAMES[kind]):
        select([str(tmp_path / "m.onnx")])
