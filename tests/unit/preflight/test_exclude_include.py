"""Combinations that a suite leaves out, or adds."""

from __future__ import annotations

from pathlib import Path

import pytest
from suite_world import error_of, rows, swept

EXCLUDES = """
models = ["a.py", "b.py"]
runtimes = ["ort", "ort:spinning=false", "torch-eager"]
script-args = "{batch}"
[matrix]
batch = [1, 8]
"""


@pytest.mark.parametrize(
    ("table", "left"),
    [
        ("batch = 8", 6),
        ("batch = [1, 8]\nmodel = 'alpha'", 6),
        ("model = 'a.py'", 6),
        ("model = '*.py'\nruntime = 'torch-*'", 8),
        ("runtime = 'ort'", 4),
        ("runtime = 'ort:*'", 8),
        ("runtime = 'ort:spinning=false'\nbatch = 1\nmodel = 'b'", 11),
        ("device = 'x86'\nbatch = 1.0", 6),
    ],
)
def test_excluded_combinations_are_left_out(folder: Path, table: str, left: int) -> None:
    assert len(swept(folder, f"{EXCLUDES}[[exclude]]\n{table}").tasks) == left


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("batch = 9", "line 9: this excludes nothing: batch has the values 1, 8"),
        ("batch = true", "line 9: this excludes nothing: batch has the values 1, 8"),
        ("bacth = 8", "line 9: no axis is called 'bacth'; did you mean batch?"),
        (
            "model = 'gamma'",
            "this excludes nothing: no combination matches. Models: alpha, b. Runtimes: ort, ort:",
        ),
        ("model = '*'", "nothing is left to measure: all 12 combinations are excluded"),
    ],
)
def test_an_exclude_that_is_a_typo_is_refused(folder: Path, table: str, message: str) -> None:
    assert message in error_of(folder, f"{EXCLUDES}[[exclude]]\n{table}").message


def test_an_exclude_may_name_the_variant_that_an_axis_makes(folder: Path) -> None:
    made = swept(
        folder,
        'models = "a.py"\nruntimes = "ort"\nexclude.runtime = "ort:spinning=false"\nmatrix.spinning = [true, false]',
    )
    assert [runtime for _, runtime, _ in rows(made)] == ["ort:spinning"]


def test_an_include_is_a_matrix_of_its_own(folder: Path) -> None:
    made = swept(
        folder,
        """
        models = ["a.py", "b.py"]
        runtimes = ["ort", "torch-eager"]
        script-args = "{batch}"
        exclude = { model = "b" , batch = 1 }
        include = [{ model = "alpha", batch = 64, processes = 5 }, { model = "b", runtime = "ort", batch = 1 }]
        matrix = { batch = [1], threads = [1, 2] }
        """,
    )
    added = [
        ("alpha", runtime, {"batch": 64, "threads": threads, "processes": 5})
        for threads in (1, 2)
        for runtime in ("ort", "torch-eager")
    ]
    added += [("b", "ort", {"batch": 1, "threads": threads}) for threads in (1, 2)]
    assert rows(made)[4:] == added
    assert [task.plan.settings.processes for task in made.tasks] == [1, 1, 1, 1, 5, 5, 5, 5, 1, 1]


def test_an_include_for_nothing_is_refused(folder: Path) -> None:
    text = 'models = "a.py"\nscript-args = "{n}"\nmatrix = { n = 1 }\n[[include]]\nmodel = "c"\nn = 2'
    error = error_of(folder, text)
    assert error.message.startswith("suite.toml, line 5: this includes nothing")
    assert "Models: alpha." in error.hint
