"""What an axis of the matrix is for, and which tasks it multiplies."""

from __future__ import annotations

from pathlib import Path

import pytest
from suite_world import error_of, rows, swept


def test_an_axis_multiplies_only_what_uses_it(folder: Path) -> None:
    made = swept(
        folder,
        """
        models = ["a.py", { path = "b.py", script-args = "--batch {batch}" }]
        runtimes = ["ort", "torch-eager"]
        [matrix]
        batch = [1, 8]          # b only
        threads = [1, 2]        # a setting: all of them
        spinning = [true, false] # an argument of ort
        """,
    )
    assert len(made.tasks) == (2 * 2 + 2) + (2 * 2 * 2 + 2 * 2)
    assert ("alpha", "torch-eager", {"threads": 1}) in rows(made)
    assert ("b", "ort:spinning=false", {"batch": 8, "threads": 2, "spinning": False}) in rows(made)
    assert {task.plan.settings.threads for task in made.tasks} == {1, 2}


def test_a_runtime_with_its_own_value_for_an_argument_is_not_multiplied(folder: Path) -> None:
    made = swept(
        folder, 'models = "a.py"\nruntimes = ["ort", "ort:spinning=false"]\nmatrix = { spinning = [true, false] }'
    )
    assert [runtime for _, runtime, _ in rows(made)] == ["ort:spinning", "ort:spinning=false"]


@pytest.mark.parametrize("name", ["ort.spinning", '"ort.spinning"', "args.spinning", "spinning"])
def test_an_argument_may_be_named_with_its_runtime(folder: Path, name: str) -> None:
    made = swept(folder, f'models = "a.py"\nruntimes = ["ort", "torch-eager"]\n[matrix]\n{name} = [true, false]')
    assert [runtime for _, runtime, _ in rows(made)] == ["ort:spinning", "torch-eager", "ort:spinning=false"]
    assert [task.plan.runtimes[0].arguments for task in made.tasks] == [{"spinning": True}, {}, {"spinning": False}]


def test_a_name_that_is_a_setting_and_an_argument_is_refused_with_the_ways_out(folder: Path) -> None:
    head = 'models = "a.py"\nruntimes = ["openvino", "ort"]\n[matrix]\n'
    error = error_of(folder, f"{head}precision = ['f32', 'bf16']")
    assert error.message == (
        "suite.toml, line 5: the axis 'precision' is ambiguous: a setting, and an argument of openvino"
    )
    assert '"settings.precision"' in error.hint
    assert '"openvino.precision"' in error.hint
    made = swept(folder, f"{head}openvino.precision = ['f32', 'bf16']")
    assert [runtime for _, runtime, _ in rows(made)] == ["openvino:precision=f32", "ort", "openvino:precision=bf16"]
    made = swept(folder, f"{head}settings.precision = ['5%', 0.1]")
    assert [task.plan.settings.precision for task in made.tasks] == [0.05, 0.05, 0.1, 0.1]


def test_an_axis_that_a_text_uses_sets_nothing_else(folder: Path) -> None:
    text = 'models = "a.py"\nscript-args = "--threads={threads}"\n[matrix]\nthreads = [1, 2]\n'
    made = swept(folder, text)
    assert len({task.plan.settings.threads for task in made.tasks}) == 1
    both = swept(folder, text + '[settings]\nthreads = "{threads}"')
    assert [task.plan.settings.threads for task in both.tasks] == [1, 2]
    assert [task.plan.models[0].script_args for task in both.tasks] == [("--threads=1",), ("--threads=2",)]


@pytest.mark.parametrize(
    ("axis", "message", "hint"),
    [
        ("bacth = [1]", "the axis 'bacth' is used nowhere", "Use {bacth} in script-args"),
        ("thread = [1]", "did you mean threads?", "call it like a setting (iterations, min-time"),
        ("spinnin = [true]", "did you mean spinning?", "ort: graph_optimization"),
        (
            "settings.thread = [1]",
            "there is no setting 'thread'; did you mean threads?",
            "The settings are: iterations",
        ),
        ("ort.spin = [1]", "ort has no argument 'spin'; did you mean spinning?", "ort has: graph_optimization"),
        ("openvino.precision = ['f32']", "belongs to no runtime of this suite", "settings, args, ort"),
        ("args.colour = [1]", "has no argument 'colour'", "ort has:"),
    ],
)
def test_an_axis_for_nothing_is_refused(folder: Path, axis: str, message: str, hint: str) -> None:
    error = error_of(folder, f'models = "a.py"\nruntimes = "ort"\n[matrix]\n{axis}')
    assert error.message.startswith("suite.toml, line 5: ")
    assert message in error.message
    assert hint in error.hint


def test_an_axis_that_no_chosen_model_uses_is_refused(folder: Path) -> None:
    error = error_of(folder, 'models = ["a.py", "b.py"]\ndim = { n = "{n}" }\nmatrix = { n = [1] }')
    assert "no .onnx file that this is for has a dynamic dimension 'n'" in error.message
    text = 'models = [{ path = "a.py", matrix.n = [1, 2] }, { path = "b.py", script-args = "{n}" }]\nmatrix = { n = 1 }'
    assert "line 2: the axis 'n' has no effect: this model doesn't use it" in error_of(folder, text).message


def test_an_axis_that_does_not_exist_is_refused_where_it_is_used(folder: Path) -> None:
    error = error_of(folder, 'models = "a.py"\nscript-args = [\n"{batch}",\n"{size}"]\n[matrix]\nbatch = [1]')
    assert error.message == """suite.toml, line 3: there is no axis 'size' for "{size}\""""
    assert "The axes are: batch" in error.hint
    assert "has a single '{'" in error_of(folder, 'models = "a.py"\nenv = { A = "{" }').message
    made = swept(folder, """models = "a.py"\nenv = { A = '{{"a": 1}}' }""")
    assert made.tasks[0].plan.models[0].env == {"A": '{"a": 1}'}


def test_a_models_own_matrix_adds_axes_and_replaces_those_of_the_suite(folder: Path) -> None:
    made = swept(
        folder,
        """
        models = [{ path = "a.py", matrix = { batch = 2, width = [16, 32] }, script-args = "{batch} {width}" }, "b.py"]
        script-args = "{batch}"
        matrix = { batch = [1, 8] }
        """,
    )
    assert [(model, axes) for model, _, axes in rows(made)] == [
        ("alpha", {"batch": 2, "width": 16}),
        ("alpha", {"batch": 2, "width": 32}),
        ("b", {"batch": 1}),
        ("b", {"batch": 8}),
    ]
