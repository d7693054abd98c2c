"""Suites that another executor carries out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import plugin_world
import pytest
from suite_world import error_of, swept

from isobench import plugins
from isobench.errors import UsageError

EXECUTOR = """
from isobench.errors import ModelError, UsageError
class Mine:
    detaches = True
    fixed = frozenset()
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


@pytest.mark.usefixtures("other_executor")
def test_a_runtime_is_left_out_on_a_device_that_it_does_not_support(folder: Path) -> None:
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
