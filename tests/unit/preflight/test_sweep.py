"""A suite becomes a frozen plan: expanded, and checked as a whole before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from suite_world import error_of, rows, swept

from isobench.errors import ModelError, UsageError
from isobench.sweeps.task import Sweep


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


def test_errors_are_in_the_order_of_their_lines(folder: Path) -> None:
    error = error_of(folder, 'runtimes = "otr"\ndevice = "npu"\nmodels = ["no.py"]')
    lines = [line.partition(":")[0] for line in error.details.splitlines() if not line.startswith("  hint")]
    assert lines == sorted(lines)
    assert len(lines) >= 2


def test_runtimes_of_all_models_are_checked_only_if_a_model_uses_them(folder: Path) -> None:
    made = swept(folder, 'models = [{ path = "a.py", runtimes = "ort" }, { path = "b.py", runtimes = "torch-eager" }]')
    assert [runtime for _, runtime, _ in rows(made)] == ["ort", "torch-eager"]
