"""Checkouts that configure commands, lead git to other files, or block whoever reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import checkout_world
import odd_files
import pytest
from checkout_world import git

from isobench.system import checkouts
from isobench.system.facts import Git


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one commit, which holds model.py and sub/other.py."""
    return checkout_world.make(tmp_path_factory.mktemp("template") / "checkout", "model.py", "sub/other.py")


@pytest.fixture
def checkout(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "checkout")


def dirty(path: Path) -> bool | None:
    found = checkouts.git(path)
    assert found is not None
    return found.dirty


def touch(file: Path) -> None:
    """Make git look at the content again: the time of the file isn't the one in git's index."""
    os.utime(file, ns=(0, time.time_ns() - 10**12))


def _commands(mark: str) -> dict[str, str]:
    """Values of git's configuration that start a program."""
    return {
        "filter.evil.clean": mark,
        "filter.evil.smudge": mark,
        "filter.evil.process": mark,
        "filter.evil.required": "true",
        "core.fsmonitor": mark,
        "core.sshCommand": mark,
        "core.pager": mark,
        "core.editor": mark,
        "core.askPass": mark,
        "core.gitProxy": mark,
        "core.alternateRefsCommand": mark,
        "core.hooksPath": str(Path(mark).parent),
        "pager.status": mark,
        "alias.status": f"!{mark}",
        "alias.check-attr": f"!{mark}",
        "credential.helper": f"!{mark}",
        "diff.external": mark,
        "diff.evil.textconv": mark,
        "diff.evil.command": mark,
        "merge.evil.driver": mark,
        "gpg.program": mark,
        "uploadpack.packObjectsHook": mark,
        "interactive.diffFilter": mark,
        "trace2.eventTarget": "/dev/full",
        "status.showUntrackedFiles": "no",
        "status.submoduleSummary": "true",
    }


@pytest.mark.parametrize("where", ["config", "include", "conditional include", "worktree config", "attributes"])
def test_no_command_that_a_checkout_configures_is_run(checkout: Path, tmp_path: Path, where: str) -> None:
    mark = tmp_path / "ran"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\necho $0 $* >> {mark}\ncat\n")
    evil.chmod(0o755)
    for hook in ("post-index-change", "pre-auto-gc", "reference-transaction", "fsmonitor-watchman", "query-watchman"):
        for folder in (tmp_path, checkout / ".git" / "hooks"):
            (folder / hook).write_text(evil.read_text())
            (folder / hook).chmod(0o755)
    settings: list[str] = []
    for name, value in _commands(str(evil)).items():
        section, _, key = name.rpartition(".")
        first, _, second = section.partition(".")
        settings.append(f'[{first} "{second}"]\n{key} = "{value}"\n' if second else f'[{first}]\n{key} = "{value}"\n')
    text = "".join(settings)
    config = checkout / ".git" / "config"
    if where in {"config", "attributes"}:
        config.write_text(config.read_text() + text)
    elif where == "worktree config":
        config.write_text(config.read_text() + "[extensions]\nworktreeConfig = true\n")
        (checkout / ".git" / "config.worktree").write_text(text)
    else:
        (tmp_path / "more").write_text(text)
        section = "include" if where == "include" else f'includeIf "gitdir:{tmp_path}/"'
        config.write_text(config.read_text() + f'[{section}]\npath = "{tmp_path}/more"\n')
    attributes = checkout / ".git" / "info" / "attributes" if where == "attributes" else checkout / ".gitattributes"
    attributes.write_text("* filter=evil diff=evil merge=evil\n")
    touch(checkout / "model.py")
    (checkout / ".git" / "index").touch()
    for path in (checkout / "model.py", checkout, checkout / "sub"):
        checkouts.git(path)
    assert not mark.exists(), mark.read_text()
    assert dirty(checkout / "model.py") is False  # the content is the commit's
    subprocess.run(["git", "status"], cwd=checkout, capture_output=True, check=False)
    assert mark.exists()  # git itself runs them


def test_a_file_behind_a_filter_is_clean_by_its_time_and_undecided_if_it_was_touched(checkout: Path) -> None:
    git(checkout, "config", "filter.caps.clean", "tr a-z A-Z")
    (checkout / ".gitattributes").write_text("*.onnx filter=caps\n")
    model = checkout / "model.onnx"
    model.write_text("weights\n")
    touch(model)
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "second")
    assert git(checkout, "show", "HEAD:model.onnx") == "WEIGHTS"
    assert dirty(model) is False
    os.utime(model)
    assert dirty(model) is None
    (checkout / "model.py").write_text("two\n")
    assert dirty(checkout / "model.py") is True
    assert dirty(checkout) is True


def test_line_endings_are_compared_as_the_checkout_and_the_user_have_them(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    script = checkout / "model.py"
    script.write_bytes(b"one\r\n")
    git(checkout, "-c", "core.autocrlf=true", "add", ".")
    touch(script)
    assert dirty(script) is True
    git(checkout, "config", "core.autocrlf", "true")
    assert dirty(script) is False
    git(checkout, "config", "--unset", "core.autocrlf")
    (tmp_path / ".gitconfig").write_text("[user]\nname = A\n[Core] # mine\nAutoCRLF = input ; of theirs\n")
    assert dirty(script) is False


def test_permissions_count_only_where_the_checkout_says_so(checkout: Path) -> None:
    (checkout / "model.py").chmod(0o755)
    assert dirty(checkout / "model.py") is True
    git(checkout, "config", "core.fileMode", "false")
    assert dirty(checkout / "model.py") is False


def test_files_that_the_user_ignores_everywhere_do_not_make_a_folder_dirty(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    (checkout / "notes~").write_text("")
    assert dirty(checkout) is True
    (tmp_path / "xdg" / "git").mkdir(parents=True)
    (tmp_path / "xdg" / "git" / "ignore").write_text("*~\n")
    assert dirty(checkout) is False
    (tmp_path / ".gitconfig").write_text("[core]\nexcludesFile = ~/.ignored\n")
    assert dirty(checkout) is True
    (tmp_path / ".ignored").write_text("*~\n")
    assert dirty(checkout) is False


def test_a_submodule_is_not_asked_and_has_a_commit_of_its_own(checkout: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    git(tmp_path, "clone", "--quiet", str(checkout), str(part))
    git(checkout, "submodule", "--quiet", "add", str(part), "part")
    git(checkout, "commit", "--quiet", "-m", "with a part")
    mark = tmp_path / "ran"
    git(checkout / "part", "config", "core.fsmonitor", f"touch {mark}; false")
    (checkout / "part" / "model.py").write_text("two\n")
    assert dirty(checkout) is False
    found = checkouts.git(checkout / "part" / "model.py")
    assert found == Git(commit=git(part, "rev-parse", "HEAD"), branch="trunk", dirty=True)
    assert not mark.exists()


def test_a_sha256_checkout_an_index_in_parts_and_a_sparse_one_are_understood(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.py").write_text("one\n")
    git(other, "init", "--quiet", "--object-format=sha256")
    git(other, "add", ".")
    git(other, "commit", "--quiet", "-m", "first")
    found = checkouts.git(other / "model.py")
    assert found is not None
    assert (found.dirty, len(found.commit or "")) == (False, 64)
    git(checkout, "update-index", "--refresh")  # of a copy, git knows no times
    git(checkout, "update-index", "--split-index")
    assert dirty(checkout / "model.py") is False
    git(checkout, "sparse-checkout", "set", "--cone", "--sparse-index", "none")
    assert not (checkout / "sub").exists()
    assert dirty(checkout / "model.py") is False
    (checkout / "model.py").write_text("two\n")
    assert dirty(checkout / "model.py") is True


def test_objects_that_a_partial_clone_lacks_are_not_fetched(checkout: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    git(checkout, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "--quiet", "--filter=tree:0", "--no-checkout", f"file://{checkout}", str(partial))
    git(partial, "config", "remote.origin.url", f"ext::touch {mark}")
    git(partial, "config", "protocol.ext.allow", "always")
    assert dirty(partial / "model.py") is None
    assert not mark.exists()


def test_another_users_checkout_is_read(checkout: Path) -> None:
    if os.getuid():
        pytest.skip("only root can give files away")
    for file in (checkout, checkout / ".git"):
        os.chown(file, 12345, 12345)
    assert dirty(checkout / "model.py") is False


def test_a_name_is_no_pattern(checkout: Path) -> None:
    for name in ("*.py", ":(top)model.py", "[m]odel.py"):
        assert dirty(checkout) is False
        (checkout / name).write_text("new\n")
        assert dirty(checkout / name) is True
        (checkout / name).unlink()
    (checkout / "model.py").write_text("two\n")
    git(checkout, "add", ".")
    (checkout / "[m]odel.py").write_text("")
    git(checkout, "add", "[[]m]odel.py")
    git(checkout, "commit", "--quiet", "-m", "second")
    (checkout / "model.py").write_text("three\n")
    assert dirty(checkout / "[m]odel.py") is False


def test_a_git_in_the_checkout_is_not_git(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "ran"
    (checkout / "git").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (checkout / "git").chmod(0o755)
    monkeypatch.chdir(checkout)
    for path in (".", "", ".:", "bin:."):
        monkeypatch.setenv("PATH", path)
        assert dirty(checkout / "model.py") is None
    assert not mark.exists()


def test_a_git_folder_that_is_none_is_passed_over(checkout: Path) -> None:
    (checkout / "sub" / ".git").mkdir()
    found = checkouts.git(checkout / "sub" / "other.py")
    assert found is not None
    assert found.branch == "trunk"


def _bytes(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 100)


KINDS = {**odd_files.MAKERS, "bytes": _bytes}
COMMIT = "the commit"
"""Stands for the checkout's own, which is another in each run."""
CLEAN, UNDECIDED = (Git(commit=COMMIT, branch="trunk", dirty=dirty) for dirty in (False, None))
NO_COMMIT = Git(commit=None, branch="trunk", dirty=None)
# What is known of a checkout if its file isn't one, and if it is one of arbitrary bytes.
FOUND: dict[str, tuple[Git | None, Git | None]] = {
    ".git": (None, None),
    "HEAD": (None, Git(commit=None, branch=None, dirty=None)),
    "index": (UNDECIDED, UNDECIDED),
    "config": (CLEAN, CLEAN),
    "commondir": (CLEAN, NO_COMMIT),
    "packed-refs": (NO_COMMIT, NO_COMMIT),
    "refs/heads/trunk": (NO_COMMIT, NO_COMMIT),
    "info/attributes": (CLEAN, CLEAN),
    "/": (UNDECIDED, CLEAN),  # .gitattributes, which git itself would read
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FOUND)
def test_no_file_of_a_checkout_blocks_or_misleads(
    checkout: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    if name == "packed-refs":
        git(checkout, "pack-refs", "--all")
    folder = checkout / ".git"
    file = {".git": folder, "/": checkout / ".gitattributes"}.get(name, folder / name)
    monkeypatch.chdir(checkout)
    if name == ".git":
        folder.rename(checkout / "moved")
    else:
        file.unlink(missing_ok=True)
    KINDS[kind](file)
    started_s = time.monotonic()
    found = checkouts.git(checkout / "model.py")
    assert time.monotonic() - started_s < 5
    expected = FOUND[name][kind == "bytes"]
    assert found == (replace(expected, commit=commit) if expected and expected.commit else expected)


@pytest.mark.parametrize(
    "head",
    [
        "ref: ../../secret",
        "ref: refs/../../../secret",
        "ref: /etc/hostname",
        "ref: refs/heads/\x1b]0;x\x07",
        "hunter2",
        "ref: refs/heads/a\0b",
        "\0",
        "ref:",
    ],
)
def test_a_head_leads_to_no_other_file(checkout: Path, tmp_path: Path, head: str) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    (checkout / ".git" / "HEAD").write_text(head)
    found = checkouts.git(checkout / "model.py", look_for_changes=False)
    assert found == Git(commit=None, branch=None, dirty=None)
