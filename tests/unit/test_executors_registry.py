"""Executors of sweeps: isobench's own, and those of other packages, by their entry points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import plugin_world
import pytest
from click.testing import CliRunner

from isobench import plugins
from isobench.cli.main import cli
from isobench.errors import UsageError
from isobench.executors import registry
from isobench.executors.local_sweep import LocalSweepExecutor

WHOLE = """
class Mine:
    detaches = True
    fixed = frozenset()
    def __init__(self, options): self.options = options
    def check(self): ...
    def prepare(self, folder, progress): ...
    def run(self, folder, tasks, progress): ...
    def pending(self, folder): ...
    def cancel(self, folder): ...
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    plugins.forget()
    yield
    plugins.forget()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, entry: str = "mine = their_cluster:Mine") -> None:
    plugin_world.install(folder, monkeypatch, code, package="their_cluster")
    file = folder / "their_cluster-1.0.dist-info" / "entry_points.txt"
    file.write_text(f"[isobench.executors]\n{entry}\n\n[console_scripts]\nx = y:z\n")


def test_isobenchs_own_executors_come_through_the_entry_points() -> None:
    assert registry.names()[0] == "local"
    assert registry.executor_class("local") is LocalSweepExecutor


def test_an_executor_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, WHOLE)
    made = registry.make("mine", {"queue": "night"})
    assert made.detaches
    assert vars(made) == {"options": {"queue": "night"}}
    assert "mine" in registry.names()
    assert not [plugin for plugin in plugins.announced() if plugin.name == "mine"]


def test_isobench_plugins_lists_executors_and_says_why_one_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "import a_module_that_nobody_has")
    printed = CliRunner().invoke(cli, ["plugins"]).output
    assert "local  (isobench" in printed
    assert "  executors  local\n" in printed
    [broken] = [line for line in printed.splitlines() if line.startswith("  broken")]
    assert "the executor 'mine' of their-cluster 1.0 can't be loaded: ModuleNotFoundError" in broken


def test_an_unknown_executor_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(UsageError, match="unknown executor 'locl'; did you mean local") as refused:
        registry.executor_class("locl")
    assert "local" in refused.value.hint


def test_an_executor_whose_import_fails_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "import a_module_that_nobody_has")
    with pytest.raises(
        UsageError, match=r"'mine' of their-cluster 1\.0 can't be loaded: ModuleNotFoundError"
    ) as refused:
        registry.executor_class("mine")
    assert "a_module_that_nobody_has" in refused.value.details


def test_an_executor_without_a_member_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, WHOLE.replace("def cancel", "def cancelled"))
    with pytest.raises(UsageError, match=r"'mine' of their-cluster 1\.0 can't be used: it has no cancel"):
        registry.executor_class("mine")


def test_two_packages_with_an_executor_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, WHOLE, entry="local = their_cluster:Mine")
    with pytest.raises(UsageError, match="two packages provide an executor 'local'"):
        registry.executor_class("local")


def test_the_local_executor_has_no_options() -> None:
    with pytest.raises(UsageError, match="the executor local has no option 'partition'"):
        registry.make("local", {"partition": "night"})
