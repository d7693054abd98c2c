"""The commit of the checkout that a file lies in, and whether the file differs from it.

Nothing that the checkout configures is run: it may be anybody's, and git starts the filters, monitors and helpers of a
configuration that it finds. So commit and branch are read from git's files, and git is asked for differences with a git
folder of our own, which has the checkout's objects and index, and of its configuration a few harmless values.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from isobench import paths
from isobench.system import reading
from isobench.system.facts import Git

_TIMEOUT_S = 10
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REFERENCE = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")
# What decides how a file is compared. Of the checkout's own configuration, words only: a path would be read.
_WORDS = re.compile(r"[A-Za-z0-9]{1,20}")
_FROM_CHECKOUT = {
    "core": {"filemode", "symlinks", "ignorecase", "autocrlf", "eol", "trustctime", "checkstat"},
    "extensions": {"objectformat"},
}
_FROM_USER = {"core": {"autocrlf", "eol", "attributesfile", "excludesfile"}}

Values = dict[tuple[str, str], str]


def git(path: Path, *, look_for_changes: bool = True) -> Git | None:
    """The checkout that `path` lies in; None where it lies in none.

    `dirty` says whether `path` itself (a file, or all of a folder without its submodules) differs from the commit. Only
    git knows, which costs some 5 ms; it is None where no commit is known, or git wasn't asked, isn't installed or can't
    say: of a file that a filter (LFS) writes, if it was touched since git wrote it.
    """
    path = path.absolute()
    for folder in (path, *path.parents):
        if git_folder := _git_folder(folder / ".git"):
            break
    else:
        return None
    # Branches are shared by all worktrees of a repository; `commondir` leads there.
    common = git_folder / (_text(git_folder / "commondir").strip() or ".")
    commit, branch = _head(git_folder, common)
    dirty = _is_dirty(path, folder, git_folder, common, commit) if look_for_changes and commit else None
    return Git(commit=commit, branch=branch, dirty=dirty)


def _git_folder(found: Path) -> Path | None:
    """The folder that `.git` is or, in a worktree or a submodule, names; None if there is none."""
    if not reading.is_folder(found):
        named = _text(found)
        if not named.startswith("gitdir:"):
            return None
        found = found.parent / named.removeprefix("gitdir:").strip()
    return found if _text(found / "HEAD") else None


def _head(git_folder: Path, common: Path) -> tuple[str | None, str | None]:
    """The commit and the branch (None: a detached head) that are checked out."""
    head = _text(git_folder / "HEAD").strip()
    if not head.startswith("ref:"):
        return _commit(head), None
    reference = head.removeprefix("ref:").strip()
    if not _REFERENCE.fullmatch(reference) or ".." in reference or reference == "refs/heads/.invalid":
        return None, None  # the last: git stores the references in another way
    commit = _commit(_text(common / reference).strip())
    if not commit:
        before, found, _ = _text(common / "packed-refs").partition(f" {reference}\n")
        commit = _commit(before.rpartition("\n")[2]) if found else None
    return commit, os.fsencode(reference.removeprefix("refs/heads/")).decode(errors="replace")


def _commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None


def _is_dirty(path: Path, worktree: Path, git_folder: Path, common: Path, commit: str | None) -> bool | None:
    relative = path.relative_to(worktree)
    if not _answers_soon(worktree, relative, git_folder):
        return None
    own = paths.new_run("git")
    try:
        _make_git_folder(own, git_folder, common, commit)
        variables = _variables(own, worktree, git_folder, common)
        return _differs(relative, variables, worktree) if variables["PATH"] else None
    except (OSError, ValueError):  # a name that can't be an argument, too
        return None
    finally:
        _remove(own)


def _answers_soon(worktree: Path, relative: Path, git_folder: Path) -> bool:
    """Are the files that git will read regular ones? It would wait for a FIFO's writer."""
    folders = [worktree / folder for folder in relative.parents]
    read = [git_folder / "index", *(folder / name for folder in folders for name in (".gitattributes", ".gitignore"))]
    return all(os.path.isfile(file) or not os.path.lexists(file) for file in read)  # noqa: PTH113


def _make_git_folder(own: Path, git_folder: Path, common: Path, commit: str | None) -> None:
    """Write a git folder whose HEAD is `commit`."""
    own.mkdir(parents=True, mode=0o700)
    (own / "refs").mkdir()
    (own / "info").mkdir()
    (own / "HEAD").write_text(f"{commit or 'ref: refs/heads/none'}\n")
    for name in ("info/attributes", "info/exclude"):
        if text := _text(common / name):
            (own / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    for name in os.listdir(git_folder):  # noqa: PTH208 - of an index in several parts
        if name.startswith("sharedindex.") and (git_folder / name).is_file():
            (own / name).symlink_to(git_folder / name)
    lines = ["[core]", "repositoryformatversion = 1", "bare = false", "fsmonitor = false", "untrackedCache = false"]
    for (section, name), value in _settings(common).items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'[{section}]\n{name} = "{escaped}"')
    (own / "config").write_text("\n".join([*lines, ""]), encoding="utf-8", errors="surrogateescape")


def _remove(own: Path) -> None:
    with suppress(OSError):  # shutil's import would take longer than all the rest
        for folder in (own / "info", own / "refs", own):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


def _variables(own: Path, worktree: Path, git_folder: Path, common: Path) -> dict[str, str]:
    """All variables of git: none of the user's but PATH, without relative folders, which would lie in the checkout."""
    search = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return {
        "PATH": os.pathsep.join(folder for folder in search if folder.startswith("/")),
        "LC_ALL": "C",
        "GIT_DIR": str(own),
        "GIT_WORK_TREE": str(worktree),
        "GIT_INDEX_FILE": str(git_folder / "index"),
        "GIT_OBJECT_DIRECTORY": str(common / "objects"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _differs(relative: Path, variables: dict[str, str], worktree: Path) -> bool | None:
    """What `git status` says.

    Raises:
        OSError: git isn't installed, failed or took too long.
    """
    from isobench.system.process import capture

    def ask(*arguments: str) -> list[str]:
        command = ["git", "-C", str(worktree), *arguments]
        return capture(command, cwd=Path("/"), env=variables, timeout_s=_TIMEOUT_S).split("\0")[:-1]

    status = ["status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all", "--untracked-files=normal"]
    if (worktree / relative).is_file():
        status.append("--ignored")  # a script that git ignores is in no commit either
    changes = ask(*status, "--", str(relative))
    if not changes or any(not change.startswith(" M ") for change in changes):
        return bool(changes)
    # Only contents differ. What a filter writes into a commit isn't known without running it.
    filters = ask("check-attr", "-z", "filter", "--", *(change[3:] for change in changes[:1000]))[2::3]
    return None if all(name not in {"unspecified", "unset"} for name in filters) else True


def _settings(common: Path) -> Values:
    """The configuration for the comparison: the user's own, and over it the checkout's."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib's may raise
    own = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    found = {("core", "attributesfile"): f"{own}/git/attributes", ("core", "excludesfile"): f"{own}/git/ignore"}
    for file in ("/etc/gitconfig", f"{own}/git/config", f"{home}/.gitconfig"):
        found |= _values(Path(file), _FROM_USER)
    checkouts = _values(common / "config", _FROM_CHECKOUT)
    found |= {name: value for name, value in checkouts.items() if _WORDS.fullmatch(value)}
    return {name: re.sub("^~/", f"{home}/", value) for name, value in found.items()}


def _values(file: Path, wanted: dict[str, set[str]]) -> Values:
    """The wanted values in one of git's configuration files, by section and name; what it includes isn't followed."""
    found: Values = {}
    section = ""
    for line in _text(file).splitlines():
        header = re.match(r"\s*\[\s*([\w.-]+)\s*\]", line)
        if header or line.lstrip().startswith("["):
            section = header[1].lower() if header else ""
            line = line[header.end() :] if header else ""  # noqa: PLW2901 - a value may follow
        name, separator, value = (part.strip() for part in line.partition("="))
        if name.lower() in wanted.get(section, ()):
            plain = re.sub(r"\s*[#;].*", "", value).strip('"')
            found[section, name.lower()] = plain if separator else "true"
    return found


def _text(file: Path) -> str:
    """The content of a regular file, with undecodable bytes as surrogates; "" where there is none."""
    with suppress(OSError):
        return os.fsdecode(reading.read_bytes(file))
    return ""
