from __future__ import annotations

from pathlib import Path

import pytest

from isobench.errors import ModelError, UsageError
from isobench.planning.selection import read_labels, select


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


def test_a_glob_takes_models_only(folder: Path) -> None:
    assert names(list(select([f"{folder}/*"]))) == ["a.py", "b.py", "c.onnx"]


def test_a_list_is_relative_to_its_own_folder(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "models.txt").write_text("# all\n../a.py  # the first\n\n../*.onnx\n")
    assert names(list(select([f"{folder}/deep/models.txt"]))) == ["a.py", "c.onnx"]


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
        ("*.pt", "no .py or .onnx file matches"),
        ("empty.txt", "lists no models"),
    ],
)
def test_a_file_that_is_not_a_model_is_refused(folder: Path, name: str, message: str) -> None:
    (folder / "empty.txt").write_text("# nothing yet\n")
    with pytest.raises(ModelError, match=message):
        select([f"{folder}/{name}"])
