"""Finds sweeps: the newest one, the unfinished ones of a suite, the one that a user names; and earlier durations."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from isobench import paths
from isobench.errors import UsageError
from isobench.sweeps.folder import SWEEP_FILE, SweepFolder
from isobench.sweeps.journal import What
from isobench.workers import protocol

MOST = 20
"""So many of the newest sweeps are looked at."""


def newest() -> SweepFolder:
    """The sweep that was started last in $ISOBENCH_HOME/sweeps.

    Raises:
        UsageError: there is none, or it can't be read.
    """
    found = _newest_first()
    if not found:
        raise UsageError(
            f"there is no sweep in {paths.sweeps()} yet",
            hint="Start one: isobench sweep SUITE.toml; or give the folder of one.",
        )
    return SweepFolder.find(found[0])


def unfinished(suite_sha256: str) -> SweepFolder | None:
    """The newest sweep of the same suite that isn't finished; None if there is none."""
    for path in _newest_first():
        with suppress(OSError, protocol.ProtocolError, UsageError):  # one that can't be read can't be resumed
            raw = protocol.read_bytes(path / SWEEP_FILE, most_bytes=protocol.MOST_JSON_BYTES)
            if suite_sha256.encode() not in raw:  # a tenth of the time of decoding it
                continue
            folder = SweepFolder.find(path)
            if not is_finished(folder):
                return folder
    return None


def is_finished(folder: SweepFolder) -> bool:
    """Was nothing left to do when it ran last?"""
    last = [event.what for event in folder.journal.events() if event.what in {What.STARTED, What.FINISHED}]
    return last[-1:] == [What.FINISHED]


def reference(folder: SweepFolder) -> str:
    """What a user types to name the sweep."""
    path = folder.path.absolute()
    return path.name if path.parent == paths.sweeps() else shell_path(path)


def shell_path(path: Path) -> str:
    """The path as it can be pasted into a shell, with `~` for the user's own folder."""
    text = str(path)
    try:
        own = Path.home()
    except RuntimeError:  # in a container, a user may have none
        return shlex.quote(text)
    if path.is_relative_to(own) and shlex.quote(text) == text and own != Path("/"):
        return str(Path("~") / path.relative_to(own))
    return shlex.quote(text)


def results_folders() -> Iterator[Path]:
    """The folders of results on this machine: of `isobench run`, and of the newest sweeps."""
    yield paths.results()
    for path in _newest_first():
        yield path / "results"


def _newest_first() -> list[Path]:
    """The newest sweeps, by when their plan was written."""
    found = [(file.lstat().st_mtime_ns, file.parent) for file in paths.sweeps().glob(f"*/{SWEEP_FILE}")]
    return [path for _, path in sorted(found, reverse=True)[:MOST]]
