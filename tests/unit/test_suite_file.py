"""A suite file becomes records; whatever is wrong with it is named with its line and what is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isobench.planning import suite_file
from isobench.planning.runtime_choice import RuntimeChoice
from isobench.planning.suite import Suite, SuiteError

SMALLEST = 'schema = "isobench.suite/1"\nmodels = ["a.py"]\n'


def loaded(folder: Path, text: str) -> Suite:
    file = folder / "suite.toml"
    file.write_bytes(text.encode())
    return suite_file.load(file)


def refused(folder: Path, text: str) -> SuiteError:
    with pytest.raises(SuiteError) as caught:
        loaded(folder, text)
    return caught.value


def test_the_smallest_suite_has_the_defaults(tmp_path: Path) -> None:
    suite = loaded(tmp_path, SMALLEST)
    assert (suite.name, suite.folder, suite.executor, suite.attempts) == ("suite", tmp_path, "local", 2)
    assert (suite.repeat, suite.order, suite.order_seed, suite.interleave) == (1, "as-written", 0, False)
    assert [model.path for model in suite.models] == ["a.py"]
    assert suite.runtimes == suite.devices == suite.exclude == suite.include == ()
    assert len(suite.sha256) == 64


def test_every_key_is_read(tmp_path: Path) -> None:
    suite = loaded(
        tmp_path,
        """
        schema = "isobench.suite/1"
        name = "mine"
        runtimes = ["ort:spinning=false", { name = "torch-eager", environment = "other" }]
        devices = ["x86", "nvidia"]
        rt-args = { spinning = true }
        script-args = "--text 'two words' --batch {batch}"
        dim = { batch = 8, tokens = "{tokens}" }
        shape = { image = [1, 3, "{size}", "{size}"], mask = "1,{size}" }
        inputs = ["x.npz", "mask=m.npy"]
        fill = { mask = "ones", scale = 1 }
        env = { WIDTH = 512, NAME = "" }
        labels = { team = "vision" }
        select-labels = ["task::nlp"]
        exclude = [{ batch = 8, model = "b*" }]
        include = [{ batch = [16, 32], device = "nvidia" }]
        repeat = 3
        order = "random"
        order-seed = 7
        interleave = true
        executor = "slurm"
        attempts = 4
        [settings]
        min-time = 1
        precision = "1%"
        cpus = "0-2"
        select = false
        [matrix]
        batch = [1, 8]
        mode = "fast"
        [[models]]
        path = "b.onnx"
        matrix = { batch = [2] }
        runtimes = "ort"
        labels = { team = "text" }
        [slurm]
        partition = "bench"
        setup = ["module load x"]
        """,
    )
    assert (suite.name, suite.devices, suite.repeat, suite.order, suite.order_seed) == (
        "mine", ("x86", "nvidia"), 3, "random", 7,
    )  # fmt: skip
    assert [one.choice for one in suite.runtimes] == [
        RuntimeChoice(name="ort", arguments={"spinning": "false"}),
        RuntimeChoice(name="torch-eager", environment="other"),
    ]
    assert suite.rt_args == {"spinning": True}
    given = suite.given
    assert given.script_args == ("--text", "two words", "--batch", "{batch}")
    assert given.dim == {"batch": 8, "tokens": "{tokens}"}
    assert given.shape == {"image": (1, 3, "{size}", "{size}"), "mask": "1,{size}"}
    assert (given.inputs, given.fill) == (("x.npz", "mask=m.npy"), {"mask": "ones", "scale": "1"})
    assert (given.env, given.labels) == ({"WIDTH": "512", "NAME": ""}, {"team": "vision"})
    assert suite.select_labels == ("task::nlp",)
    assert suite.settings == {"min_time_s": 1, "precision": 0.01, "cpus": (0, 1, 2), "select": False}
    assert {name: axis.values for name, axis in suite.matrix.items()} == {"batch": (1, 8), "mode": ("fast",)}
    [excluded], [included] = suite.exclude, suite.include
    assert (excluded.models, excluded.axes["batch"].values) == (("b*",), (8,))
    assert (included.devices, included.axes["batch"].values) == (("nvidia",), (16, 32))
    assert (suite.interleave, suite.executor, suite.attempts) == (True, "slurm", 4)
    assert suite.options == {"slurm": {"partition": "bench", "setup": ["module load x"]}}
    [model] = suite.models
    assert (model.path, model.given.labels, model.matrix["batch"].values) == ("b.onnx", {"team": "text"}, (2,))
    assert model.runtimes is not None
    assert [str(one.choice) for one in model.runtimes] == ["ort"]


def test_single_values_stand_for_lists_of_one(tmp_path: Path) -> None:
    suite = loaded(
        tmp_path,
        'schema = "isobench.suite/1"\nmodels = "a.py"\nruntimes = "ort"\ninputs = "x.npz"\nexclude = { batch = 1 }\n'
        "[matrix]\nbatch = 8\n",
    )
    assert [model.path for model in suite.models] == ["a.py"]
    assert [str(one.choice) for one in suite.runtimes] == ["ort"]
    assert (suite.given.inputs, suite.matrix["batch"].values, len(suite.exclude)) == (("x.npz",), (8,), 1)


@pytest.mark.parametrize("text", ['"ort.spinning" = [true, false]', "ort.spinning = [true, false]"])
def test_a_dotted_axis_may_be_written_with_or_without_quotes(tmp_path: Path, text: str) -> None:
    suite = loaded(tmp_path, f"{SMALLEST}[matrix]\n{text}\n")
    assert {name: axis.values for name, axis in suite.matrix.items()} == {"ort.spinning": (True, False)}
    assert suite.where((*suite.matrix["ort.spinning"].place, 1)) == "line 4"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('modles = ["b.py"]', 3, 'unknown key "modles"; did you mean models?; the keys are schema, name, models,'),
        ("Repeat = 2", 3, "did you mean repeat?"),
        ("script_args = []", 3, "did you mean script-args?"),
        ("threads = 2", 3, 'unknown key "threads"; the keys are'),
        ("\n\nrepeat = 0", 5, "repeat must be an integer of at least 1, got 0"),
        ("repeat = true", 3, "repeat must be an integer of at least 1, got true"),
        ('order = "Random"', 3, 'order must be "as-written" or "random", got "Random"'),
        ("runtimes = []", 3, "runtimes is empty: it must have at least one runtime, or be left out"),
        ("runtimes = [\n'ort',\n8]", 5, "runtimes[2] must be text, got 8"),
        ("runtimes = ['ort', 'ort:']", 3, "runtime 'ort:' is incomplete"),
        ("[[runtimes]]\nname = 'ort'\n[[runtimes]]\nargs = { a = 1 }", 5, "runtimes[2] has no 'name'"),
        ("[[runtimes]]\nname = 'ort'\narg = { a = 1 }", 5, "did you mean args?; the keys are name, environment, args"),
        ("runtimes = [{ name = 'ort', args = { 'a b' = 1 } }]", 3, "has a key that can't be a name: \"a b\""),
        ("rt-args = { a-b = 1, a_b = 2 }", 3, "is given twice: - and _ are the same"),
        ("device = 'x86'\ndevices = ['x86']", 4, "device and devices are both given"),
        ("name = 'a/b'", 3, 'name must be made of letters, digits, ".", "_" and "-", got "a/b"'),
        ("name = 'übung'", 3, "name must be made of letters"),
        ("script-args = 'a \"b'", 3, "script-args: No closing quotation in"),
        ("script-args = 8", 3, 'script-args must be text such as "--batch-size 8", or a list of words, got 8'),
        ("script-args = ['--lr', 0.10]", 3, "script-args[2] must be text, got 0.1"),
        ("env = { A = true }", 3, "env.A must be text, got true"),
        ("env = { A = 1979-05-27 }", 3, "env.A must be text, got the date or time 1979-05-27"),
        ("labels = ['a']", 3, 'labels must be a table of texts such as { name = "text" }, got ["a"]'),
        ("dim = { batch = -1 }", 3, "dim.batch must be an integer of at least 0 or text with an axis such as"),
        ("dim = { batch = '8' }", 3, "dim.batch must be an integer of at least 0 or text with an axis"),
        ("shape = { x = [1,\n 2.5] }", 4, "shape.x[2] must be an integer of at least 0 or text with an axis"),
        ("shape = { x = 3 }", 3, "shape.x must be a list of sizes such as [1, 3, 224, 224], got 3"),
        ("interleave = 1", 3, "interleave must be true or false, got 1"),
        ("matrix = [1]", 3, "matrix must be a table of axes such as { batch = [1, 8] }, got [1]"),
        ("[matrix]\nbatch = []", 4, "matrix.batch is empty: it must have at least one value, or be left out"),
        ("[matrix]\nbatch = [1,\n{ a = 1 }]", 5, "matrix.batch[2] must be a number, text, true or false, got a table"),
        ("[matrix]\nbatch = [nan]", 4, "matrix.batch[1] must be a number"),
        ("[matrix]\nbatch = [-inf]", 4, "matrix.batch[1] must be a number"),
        ("[settings]\nmin-time = inf", 4, "min-time must be finite, got inf"),
        ("[matrix]\n'a b' = [1]", 4, '"a b" can\'t be the name of an axis'),
        ("[matrix]\na.b.c = [1]", 4, "must be a number, text, true or false, got a table"),
        ("[matrix]\nbatch = [1]\nrepeat = 2", 5, "an axis can't be called 'repeat'"),
        ("[matrix]\nruntime = ['ort']", 4, "an axis can't be called 'runtime'"),
        ("[settings]\nmin_time = 1", 4, '"min_time"; did you mean min-time?; the keys are iterations, min-time'),
        ("[settings]\nrepeat = 2", 4, 'unknown key "repeat"; the keys are iterations'),
        ("[settings]\nthreads = 0", 4, "threads must be at least 1, got 0"),
        ("[settings]\nthreads = '2'", 4, "threads must be an integer, got '2'"),
        ("[settings]\nmin-time = true", 4, "min-time must be a number of seconds, got True"),
        ("[settings]\nheap = 'Steady'", 4, "heap must be steady or default, got 'Steady'"),
        ("[settings]\nprecision = '200%'", 4, "precision must be a percentage such as 1% or 0.5%, got '200%'"),
        ("[settings]\nprecision = 5", 4, "precision must be from 0.01% to 100%, got 500%"),
        ("[settings]\ncpus = 'all'", 4, "cpus must be a list of numbers such as 0-3,8, got 'all'"),
        ("[[exclude]]", 3, "an empty table matches everything"),
        ("exclude = ['a']", 3, "exclude[1] must be a table with the keys model, runtime, device, got \"a\""),
        ("[[models]]\npath = ''", 3, "not valid TOML"),
        ("slurm = 1", 3, "slurm must be a table of the executor's options, got 1"),
        ("[slrum]\ncpus = 1", 3, 'unknown key "slrum"; did you mean [slurm]?'),
    ],
)  # fmt: skip
def test_an_error_names_the_file_the_line_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    error = refused(tmp_path, f"{SMALLEST}{text}\n")
    assert error.message.startswith(f"suite.toml, line {line}: ")
    assert message in error.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("threads = 2", "It is a setting: write it under [settings]."),
        ("min_time = 2", "It is a setting: write it under [settings]."),
        ("[settings]\nrepeat = 2", "write it above the first [table]"),
        ("[matrix]\norder = 'random'", "write it above the first [table]"),
        ("[matrix]\ndevice = ['x86']", "write it above the first [table]"),
        ("labels = { version = 3.10 }", 'Put it into quotes, spelled as you mean it: "3.1".'),
        ("[settings]\nheap = steady", "Text must be in quotes; true and false are lower case."),
    ],
)
def test_a_frequent_mistake_has_a_hint(tmp_path: Path, text: str, hint: str) -> None:
    assert hint in refused(tmp_path, f"{SMALLEST}{text}\n").hint


def test_a_suite_needs_its_schema_and_its_models(tmp_path: Path) -> None:
    error = refused(tmp_path, "repeat = 1\n")
    assert error.message == "suite.toml has 2 errors"
    assert "line 1: the suite has no 'schema'" in error.details
    assert "line 1: the suite has no 'models'" in error.details
    assert "isobench.suite/1" in refused(tmp_path, 'schema = "isobench.suite/2"\nmodels = "a.py"').message


def test_all_errors_of_a_file_are_listed_in_the_order_of_its_lines(tmp_path: Path) -> None:
    error = refused(tmp_path, f"{SMALLEST}[settings]\nthreads = 0\nwarmup = 0\n[matrix]\nbatch = []\n")
    assert error.message == "suite.toml has 3 errors"
    lines = [line for line in error.details.splitlines() if not line.startswith("  hint")]
    assert [line.partition(":")[0] for line in lines] == ["line 4", "line 5", "line 7"]
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("models = [\n'a.py'\n", 2, "Unclosed array"),
        ("a = 1\na = 2\n", 2, "a is given twice"),
        ("[a.b]\nc = 1\n[a.b]\nd = 1\n", 3, "a.b is given twice"),
        ("a = {b = 1, b = 2}\n", 1, "b is given twice"),
        ("models = ['a.py']\n[[models]]\npath = 'b.py'\n", 2, "models is given twice"),
        (f"a = {'1' * 5000}\n", 1, "not valid TOML"),
        ("a = 1\nb = yes\n", 2, "not valid TOML: Invalid value"),
        ("models: [a.py]\n", 1, "not valid TOML"),
        ('a = "x\ny"\n', 1, "not valid TOML"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    error = refused(tmp_path, text)
    assert error.message.startswith(f"suite.toml, line {line}: ")
    assert message in error.message


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    assert "nested too deeply" in refused(tmp_path, f"a = {'[' * 5000}{']' * 5000}").message


def test_yaml_is_recognized(tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text("models:\n  - a.py\n")
    with pytest.raises(SuiteError) as caught:
        suite_file.load(file)
    assert "A suite is a TOML file" in caught.value.hint


@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_file_of_another_editor_is_read_the_same(tmp_path: Path, before: str, ends: str) -> None:
    text = before + 'schema = "isobench.suite/1"\n# ünïcödé\nmodels = "é.py"\nlabels = { "größe" = "µ" }\nbad = 1\n'
    error = refused(tmp_path, text.replace("\n", ends))
    assert error.message.startswith('suite.toml, line 5: unknown key "bad"')
    suite = loaded(tmp_path, text.replace("bad = 1\n", "").replace("\n", ends))
    assert (suite.models[0].path, suite.given.labels) == ("é.py", {"größe": "µ"})


def test_what_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_bytes(b'schema = "isobench.suite/1"\nmodels = "\xe9.py"\n')
    with pytest.raises(SuiteError, match=r"suite\.toml, line 2: it isn't encoded in UTF-8"):
        suite_file.load(tmp_path / "suite.toml")


def test_a_file_that_can_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nightly.toml").write_text(SMALLEST)
    os.mkfifo(tmp_path / "pipe.toml")
    for name, message in {
        "nightli.toml": "nightli.toml: no such file; did you mean nightly.toml?",
        "no/suite.toml": "no/suite.toml: no such file",
        ".": ". is a folder, not a suite",
        "pipe.toml": "pipe.toml isn't a file",
        "a\0b": "can't be read",
        "x" * 300: "can't be read: File name too long",
    }.items():
        with pytest.raises(SuiteError) as caught:
            suite_file.load(name)
        assert message in caught.value.message
        assert "docs/suites.md" in caught.value.hint


@contextmanager
def not_as_root() -> Iterator[None]:
    """Without root's right to read every file."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(SMALLEST)
    file.chmod(0)
    with not_as_root(), pytest.raises(SuiteError, match="can't be read: Permission denied"):
        suite_file.load(file)


def test_a_huge_file_is_no_suite(tmp_path: Path) -> None:
    with (tmp_path / "suite.toml").open("wb") as file:
        file.truncate(2**24 + 2)
    with pytest.raises(SuiteError, match="too large for a suite"):
        suite_file.load(tmp_path / "suite.toml")


def test_relative_paths_start_at_the_folder_of_the_file_as_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    (real / "suite.toml").write_text(SMALLEST)
    (linked / "mine.toml").symlink_to(real / "suite.toml")
    monkeypatch.chdir(tmp_path)
    assert suite_file.load("real/suite.toml").folder == real
    assert suite_file.load("linked/mine.toml").folder == linked
    assert suite_file.load("linked/../real/suite.toml").folder.resolve() == real


@pytest.mark.parametrize(
    ("file", "name"), [("my suite.toml", "my-suite"), ("..toml", "suite"), ("Nacht.toml", "Nacht")]
)
def test_a_suite_without_a_name_is_called_like_its_file(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_text(SMALLEST)
    assert suite_file.load(tmp_path / file).name == name


def test_each_value_of_an_axis_has_its_own_line(tmp_path: Path) -> None:
    suite = loaded(tmp_path, f"{SMALLEST}[matrix]\nbatch = [\n 1,\n 8,\n]\n")
    axis = suite.matrix["batch"]
    lines: list[Any] = [suite.where(axis.place_of(value)) for value in axis.values]
    assert lines == ["line 5", "line 6"]
