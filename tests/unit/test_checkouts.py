from __future__ import annotations

from pathlib import Path

import checkout_world
import pytest
from checkout_world import git

from isobench.system import checkouts
from isobench.system.facts import Git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit, which holds model.py."""
    return checkout_world.make(tmp_path, "model.py")


def known(path: Path, *, look_for_changes: bool = True) -> Git:
    found = checkouts.git(path, look_for_changes=look_for_changes)
    assert found is not None
    return found


def test_a_commit_and_its_branch_are_read(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert checkouts.git(checkout / "model.py") == Git(commit=commit, branch="trunk", dirty=False)


def test_a_changed_script_is_dirty_and_another_files_change_is_not_its_own(checkout: Path) -> None:
    (checkout / "other.py").write_text("new\n")
    assert known(checkout / "model.py").dirty is False
    assert known(checkout).dirty is True
    (checkout / "model.py").write_text("two\n")
    assert known(checkout / "model.py").dirty is True


def test_a_script_that_git_does_not_have_is_dirty(checkout: Path) -> None:
    (checkout / ".gitignore").write_text("ignored.py\n")
    for name in ("ignored.py", "untracked.py"):
        (checkout / name).write_text("new\n")
        assert known(checkout / name).dirty is True


def test_changes_are_only_looked_for_on_request(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert known(checkout / "model.py", look_for_changes=False).dirty is None


def test_without_git_the_commit_is_still_known(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(checkout))
    assert checkouts.git(checkout / "model.py") == Git(commit=commit, branch="trunk", dirty=None)


def test_a_detached_head_has_no_branch(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "checkout", "--quiet", "--detach")
    found = known(checkout / "model.py")
    assert (found.commit, found.branch) == (commit, None)


def test_packed_references_are_read(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "pack-refs", "--all")
    assert known(checkout / "model.py").commit == commit


def test_a_worktree_has_its_own_branch(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    tree = tmp_path_factory.mktemp("trees") / "side"
    git(checkout, "worktree", "add", "--quiet", "-b", "side/one", str(tree))
    found = checkouts.git(tree / "model.py")
    assert found == Git(commit=git(checkout, "rev-parse", "HEAD"), branch="side/one", dirty=False)


def test_a_checkout_without_commits_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    found = known(tmp_path)
    assert (found.commit, found.branch) == (None, "trunk")


def test_outside_of_a_checkout_there_is_nothing(tmp_path: Path) -> None:
    assert checkouts.git(tmp_path / "model.py") is None


def test_before_the_first_commit_there_is_nothing_to_differ_from(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("one\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    assert checkouts.git(tmp_path / "model.py") == Git(commit=None, branch="trunk", dirty=None)
