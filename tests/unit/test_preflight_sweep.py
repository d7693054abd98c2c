"""A suite becomes a frozen plan: expanded, and checked as a whole before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isobench.planning import suite_file
from isobench.planning.suite import SuiteError
from isobench.preflight.sweep import sweep
from isobench.sweeps.task import Sweep, Task

HEAD = 'schema = "isobench.suite/1"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("# labels: name::alpha task::nlp\n")
    (tmp_path / "b.py").write_text("# labels: task::vision\n")
    return tmp_path


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


def test_each_model_is_taken_to_each_runtime_at_each_point_of_the_matrix(folder: Path) -> None:
    made = swept(
        folder,
        """
        models = ["a.py", "b.py"]
        runtimes = ["ort", "torch-eager"]
        script-args = "--batch {batch}"
        [matrix]
        batch = [1, 8]
        """,
    )
    assert rows(made) == [
        (model, runtime, {"batch": batch})
        for model in ("alpha", "b")
        for batch in (1, 8)
        for runtime in ("ort", "torch-eager")
    ]
    assert [task.plan.models[0].script_args for task in made.tasks[:3]] == [("--batch", "1")] * 2 + [("--batch", "8")]
    assert len({task.key for task in made.tasks}) == 8
    assert Sweep.from_json(made.to_json()) == made
