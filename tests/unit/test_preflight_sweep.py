"""A suite becomes a frozen plan: expanded, and checked as a whole before any work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plugin_world
import pytest

from isobench import plugins
from isobench.errors import ModelError, UsageError
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


def test_repeats_are_spread(folder: Path) -> None:
    made = swept(folder, 'models = ["a.py", "b.py"]\nrepeat = 2')
    repeats = [(task.plan.models[0].name, task.plan.sweep.repeat) for task in made.tasks if task.plan.sweep]
    assert repeats == [("alpha", 1), ("b", 1), ("alpha", 2), ("b", 2)]
    assert len({task.key for task in made.tasks}) == 4


def test_a_random_order_is_that_of_its_seed(folder: Path) -> None:
    text = 'models = "a.py"\nrepeat = 3\nscript-args = "{n}"\nmatrix.n = [1, 2, 3, 4, 5, 6, 7, 8]\norder = "random"\n'
    first, again, other = (swept(folder, f"order-seed = {seed}\n{text}") for seed in (1, 1, 2))
    assert [task.key for task in first.tasks] == [task.key for task in again.tasks]
    assert [task.key for task in first.tasks] != [task.key for task in other.tasks]
    assert {task.key for task in first.tasks} == {task.key for task in other.tasks}
    assert (first.order, first.seed) == ("random", 1)


def test_what_is_measured_twice_is_left_out_with_a_note(folder: Path) -> None:
    notes: list[str] = []
    made = swept(folder, 'models = ["a.py", "*.py", "./a.py"]\nruntimes = ["ort", "ort"]', note=notes.append)
    assert [model for model, _, _ in rows(made)] == ["alpha", "b"]
    [note] = notes
    assert note.startswith("6 of 8 tasks are left out, because others measure the same: alpha on ort")


def test_interleaved_tasks_have_all_runtimes_of_one_point(folder: Path) -> None:
    made = swept(
        folder,
        """
        models = "a.py"
        runtimes = ["ort", "torch-eager"]
        script-args = "{batch}"
        interleave = true
        matrix = { batch = [1, 8], spinning = [true, false], threads = [1] }
        """,
    )
    runtimes = "ort:spinning torch-eager ort:spinning=false"
    assert rows(made) == [("alpha", runtimes, {"batch": batch, "threads": 1}) for batch in (1, 8)]
    assert all(task.plan.interleaved for task in made.tasks)
    error = error_of(folder, 'models = "a.py"\ninterleave = true\n[settings]\niterations = 5')
    assert error.message.startswith("suite.toml, line 5: interleaved cases are measured for a time")


def test_labels_are_filled_and_left_out_where_their_axis_is_not_used(folder: Path) -> None:
    made = swept(
        folder,
        """
        models = [{ path = "a.py", script-args = "{batch}", labels = { team = "mine" } }, "b.py"]
        labels = { team = "all", size = "b{batch}" }
        matrix = { batch = [1, 8] }
        """,
    )
    labels = [dict(task.plan.sweep.labels) for task in made.tasks if task.plan.sweep]
    assert labels == [{"team": "mine", "size": "b1"}, {"team": "mine", "size": "b8"}, {"team": "all"}]


def test_scripts_are_chosen_by_their_own_labels(folder: Path) -> None:
    made = swept(folder, 'models = "*.py"\nselect-labels = "task::vision"')
    assert [model for model, _, _ in rows(made)] == ["b"]
    error = error_of(folder, 'models = ["a.py", "b.py"]\nselect-labels = "task::audio"')
    assert error.message == "suite.toml, line 3: no model has the label task::audio"


def test_paths_start_at_the_suite_from_wherever_it_is_called(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    deep = folder / "with [brackets]" / "deep"
    deep.mkdir(parents=True)
    (deep / "c.py").write_text("")
    (deep / "list.txt").write_text("../../a.py\nc.py::0123abcd\n")
    (deep / "x.npz").write_bytes(b"")
    (deep / "mask.npy").write_bytes(b"")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    made = swept(
        deep,
        'models = ["list.txt", "*.py", "../../b.py"]\ninputs = ["*.npz", "mask=mask.npy"]\nfill = { y = "@mask.npy" }',
    )
    models = [task.plan.models[0] for task in made.tasks]
    assert [str(model) for model in models] == [
        f"{deep}/../../a.py", f"{deep}/c.py::0123abcd", f"{deep}/c.py", f"{deep}/../../b.py",
    ]  # fmt: skip
    assert models[0].inputs == (deep / "x.npz",)
    assert models[0].fill == {"mask": f"@{deep}/mask.npy", "y": f"@{deep}/mask.npy"}
    assert made.working_folder == deep
    assert made.suite == str(deep / "suite.toml")


def test_files_that_an_argument_names_start_at_the_suite(folder: Path) -> None:
    (folder / "ops.so").write_bytes(b"x")
    made = swept(folder, 'models = "a.py"\nruntimes = "ort:custom_op_library=ops.so"')
    assert made.tasks[0].plan.runtimes[0].arguments == {"custom_op_library": str(folder / "ops.so")}
    error = error_of(folder, 'models = "a.py"\nruntimes = ["ort:custom_op_library=no.so"]')
    assert error.message.startswith("suite.toml, line 3: custom_op_library")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('models = ["a.py",\n"no.py"]', 3, "no.py: no such file"),
        ('models = [\n"*.onnx"]', 3, "*.onnx: no .py, .onnx or .ort file matches"),
        ('models = "suite.toml"', 2, "is not a model"),
        ('models = "a.py"\nruntimes = ["ort",\n"orrt"]', 4, "unknown runtime 'orrt'; did you mean ort?"),
        ('models = "a.py"\n[[runtimes]]\nname = "ort"\nargs.spinning = 3', 5, "ort: spinning must be bool"),
        ('models = "a.py"\nruntimes = "ort"\n[matrix]\nspinning = [true,\n3]', 6, "ort: spinning must be bool, got 3"),
        ('models = "a.py"\nrt-args = { spinning = 3 }', 3, "ort: spinning must be bool, got 3"),
        ('models = "a.py"\nrt-args = { colour = 3 }', 3, "ort has no argument 'colour'"),
        ('models = "a.py"\ndevice = "npu"', 3, "unknown family 'npu'"),
        ('models = "a.py"\ndevices = ["x86",\n"a::b::c::d"]', 4, "device must be FAMILY"),
        ('models = "a.py"\nruntimes = "trt"', 3, "trt doesn't support x86"),
        ('models = "a.py"\n[matrix]\nthreads = [1,\n0]', 5, "threads must be at least 1, got 0"),
        ('models = "a.py"\n[matrix]\nthreads = [1,\n"2"]', 5, "threads must be an integer, got '2'"),
        (
            'models = "a.py"\n[settings]\nmin-time = 1\ncpus = "9999"',
            5,
            "cpus must be among those that this process may",
        ),
        (
            'models = "a.py"\n[settings]\nthreads = "{n}"\n[matrix]\nn = ["two"]',
            4,
            "threads must be an integer, got 'two'",
        ),
        ('models = "a.py"\n[settings]\nthreads = 1\n[matrix]\nthreads = [1]', 6, "sets a setting that [settings] sets"),
        ('models = "a.py"\nenv = { PYTHONPATH = "x" }', 3, "env PYTHONPATH can't be passed on"),
        ('models = "a.py"\ninputs = ["no.npz"]', 3, "inputs no.npz: no such file"),
        ('models = "a.py"\nexecutor = "locl"', 3, "unknown executor 'locl'; did you mean local?"),
        ('models = "a.py"\nscript-args = "x{n}"\n[matrix]\nn = [[1, 2]]', 3, "whose value is the list [1, 2]"),
    ],
)
def test_what_is_wrong_is_named_with_the_line_where_it_stands(folder: Path, text: str, line: int, message: str) -> None:
    error = error_of(folder, text)
    assert error.message.startswith(f"suite.toml, line {line}: "), error.message
    assert message in error.message


def test_errors_of_several_models_and_runtimes_are_reported_at_once(folder: Path) -> None:
    error = error_of(folder, 'models = ["no.py", "nor.py"]\nruntimes = ["ort", "otr", "tort"]')
    assert error.message == "suite.toml has 4 errors"
    assert "no.py: no such file" in error.details
    assert "unknown runtime 'otr'" in error.details


def test_a_missing_model_has_the_exit_code_of_models(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        swept(folder, 'models = "no.py"')
    assert caught.value.exit_code == ModelError("").exit_code != 2


def test_an_enormous_matrix_is_refused_before_it_is_expanded(folder: Path) -> None:
    axes = ", ".join(f"{name} = {list(range(100))}" for name in "abcd")
    error = error_of(folder, f'models = "a.py"\nscript-args = "{{a}} {{b}} {{c}} {{d}}"\nmatrix = {{ {axes} }}')
    assert error.message == "suite.toml, line 4: the matrix has 100,000,000 combinations; a suite may have 100,000"


def test_too_many_repeats_are_refused(folder: Path) -> None:
    error = error_of(folder, 'models = ["a.py", "b.py"]\nrepeat = 60000')
    assert error.message == "suite.toml, line 3: these are 120,000 tasks; a suite may have 100,000"


def test_the_name_of_a_sweep_has_its_time_or_is_given(folder: Path) -> None:
    made = swept(folder, 'models = "a.py"')
    assert made.name.startswith("suite-2")
    assert all(task.plan.sweep and task.plan.sweep.sweep == made.name for task in made.tasks)
    named = swept(folder, 'models = "a.py"', name="mine", attempts=5)
    assert (named.name, named.attempts) == ("mine", 5)
    assert [task.key for task in named.tasks] == [task.key for task in made.tasks]


def test_an_onnx_file_gets_the_sizes_that_it_has_a_use_for(folder: Path) -> None:
    model(folder / "m.onnx", batch=["batch", 4])
    model(folder / "n.onnx", other=["n", 4])
    made = swept(
        folder,
        """
        models = ["m.onnx", "n.onnx", "a.py"]
        script-args = "{batch}"
        dim = { batch = "{batch}", n = 3 }
        shape = { other = ["{batch}", 4] }
        matrix = { batch = [1, 8] }
        """,
    )
    found = [(one.name, dict(one.dimensions), dict(one.shapes), one.script_args) for one in models_of(made)]
    assert found == [
        ("m", {"batch": 1}, {}, ()),
        ("m", {"batch": 8}, {}, ()),
        ("n", {"n": 3}, {"other": (1, 4)}, ()),
        ("n", {"n": 3}, {"other": (8, 4)}, ()),
        ("alpha", {}, {}, ("1",)),
        ("alpha", {}, {}, ("8",)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("", 2, "has inputs without a fixed size: x: float32[batch, 4]", "dim.batch = 8"),
        (
            "dim = { bacth = 1 }",
            3,
            "no .onnx file that this is for has a dynamic dimension 'bacth'",
            "There are: batch.",
        ),
        ("shape = { y = [1] }", 3, "no .onnx file that this is for has an input 'y'", "There are: x."),
        ("shape = { x = [1, 5] }", 3, "shape x: dimension 1 must be 4, as in the file, got 5", ""),
        ('shape = { x = "1,a" }', 3, "a size must be an integer of at least 0, got 'a'", ""),
        ('dim = { batch = "{b}" }\nmatrix = { b = ["x"] }', 3, "a size must be an integer of at least 0, got 'x'", ""),
        ('dim.batch = 1\nfill.x = "onse"', 4, "there is no such rule", "A rule is zeros, ones"),
        ('dim.batch = 1\nfill.y = "ones"', 4, "no input 'y' in m.onnx", "It has: x."),
        (
            'dim.batch = 1\nruntimes = ["ort", "torch-eager"]',
            2,
            "torch-eager can't run m.onnx",
            'runtime = "torch-eager"',
        ),
    ],
)
def test_what_does_not_fit_an_onnx_file_is_refused(folder: Path, text: str, line: int, message: str, hint: str) -> None:
    model(folder / "m.onnx", x=["batch", 4])
    error = error_of(folder, f'models = "m.onnx"\n{text}')
    assert error.message.startswith(f"suite.toml, line {line}: "), error.message
    assert message in error.message
    assert hint in error.hint


def model(path: Path, **inputs: list[Any]) -> None:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    nodes = [helper.make_node("Identity", [value.name], [f"of {value.name}"]) for value in values]
    outputs = [helper.make_tensor_value_info(f"of {value.name}", TensorProto.FLOAT, None) for value in values]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values, outputs)), path)


def models_of(made: Sweep) -> list[Any]:
    return [task.plan.models[0] for task in made.tasks]


EXECUTOR = """
from isobench.errors import ModelError, UsageError
class Mine:
    detaches = True
    def __init__(self, options):
        if "queu" in options: raise UsageError("--mine has no option 'queu'")
    def check(self): ...
    def prepare(self, folder, progress): ...
    def run(self, folder, tasks, progress): ...
    def pending(self, folder): ...
    def cancel(self, folder): ...
"""


@pytest.fixture
def other_executor(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("installed")
    plugin_world.install(folder, monkeypatch, EXECUTOR, package="their_cluster")
    (folder / "their_cluster-1.0.dist-info" / "entry_points.txt").write_text(
        "[isobench.executors]\nmine = their_cluster:Mine\n"
    )
    plugins.forget()
    yield
    plugins.forget()


@pytest.mark.usefixtures("other_executor")
def test_for_another_machine_nothing_of_this_one_counts(folder: Path) -> None:
    text = 'models = "a.py"\nexecutor = "mine"\ndevice = "nvidia"\n'
    made = swept(folder, f'{text}[settings]\nthreads = 64\ncpus = "9000-9063"\n[mine]\nqueue = "night"\nlines = ["a"]')
    settings = made.tasks[0].plan.settings
    assert (settings.threads, settings.cpus[0], made.options) == (64, 9000, {"queue": "night", "lines": ["a"]})
    assert "threads must be given" in error_of(folder, text).message
    assert swept(folder, f"{text}[mine]\ncpus = 6").tasks[0].plan.settings.threads == 6
    assert swept(folder, text, options={"cpus": "7"}).tasks[0].plan.settings.threads == 7
    local = swept(folder, 'models = "a.py"\n[settings]\nthreads = 1', executor="mine", options={"queue": "day"})
    assert (local.executor, local.options) == ("mine", {"queue": "day"})


@pytest.mark.usefixtures("other_executor")
def test_an_executors_options_are_checked_by_it(folder: Path) -> None:
    error = error_of(folder, 'models = "a.py"\nexecutor = "mine"\n[mine]\nqueu = 1')
    assert error.message == "suite.toml, line 5: mine has no option 'queu'"
    with pytest.raises(UsageError, match=r"^--mine has no option 'queu'"):
        swept(folder, 'models = "a.py"', executor="mine", options={"queu": 1})
    with pytest.raises(UsageError, match="unknown executor 'mien'; did you mean mine"):
        swept(folder, 'models = "a.py"', executor="mien")


def test_a_runtime_is_left_out_on_a_device_that_it_does_not_support(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("other_executor")
    notes: list[str] = []
    made = swept(
        folder,
        'models = "a.py"\ndevices = ["x86", "nvidia"]\nruntimes = ["ort", "openvino"]\n[settings]\nthreads = 1',
        executor="mine",
        note=notes.append,
    )
    found = [(task.plan.device, str(task.plan.runtimes[0])) for task in made.tasks]
    assert found == [("x86", "ort"), ("x86", "openvino"), ("nvidia", "ort")]
    assert notes == ["openvino is left out on nvidia, which it doesn't support"]


def test_errors_are_in_the_order_of_their_lines(folder: Path) -> None:
    error = error_of(folder, 'runtimes = "otr"\ndevice = "npu"\nmodels = ["no.py"]')
    lines = [line.partition(":")[0] for line in error.details.splitlines() if not line.startswith("  hint")]
    assert lines == sorted(lines)
    assert len(lines) >= 2


def test_runtimes_of_all_models_are_checked_only_if_a_model_uses_them(folder: Path) -> None:
    made = swept(folder, 'models = [{ path = "a.py", runtimes = "ort" }, { path = "b.py", runtimes = "torch-eager" }]')
    assert [runtime for _, runtime, _ in rows(made)] == ["ort", "torch-eager"]
