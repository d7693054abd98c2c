"""Writes Results: each to a folder of its own, whole or not at all, and several together or none of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isobench import paths
from isobench.codec import decode
from isobench.errors import ResultError
from isobench.failures import Ending
from isobench.results import store
from isobench.results.records import Result
from isobench.system import files
from isobench.workers import protocol


def as_bytes(result: Result) -> bytes:
    """The content of `result.json`, which `load` can read.

    Raises:
        ResultError: a value isn't JSON (NaN, an object of a plugin's own), or none that the schema allows; of the kind
            `protocol`.
    """
    reported = f"what {result.runtime.label} reported of {result.model.name}"
    try:
        content = protocol.json_bytes(result.to_json())
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ResultError(f"{reported} isn't JSON: {store.cut(error)}", kind=Ending.PROTOCOL) from None
    try:
        decode(Result, store.without_ending(json.loads(content)), "result")
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{reported} can't be right: {store.cut(error)}", kind=Ending.PROTOCOL) from None
    return content


def save(result: Result, *, run_dirs: Sequence[Path] = (), root: Path | None = None) -> Path:
    """Write the Result, and move the samples and the log of each run beside it; return its folder.

    The run directories are removed.

    Raises:
        ResultError: it can't be written, or a value of it isn't JSON; then the samples are in the run directories.
    """
    [saved] = save_together([(result, run_dirs)], root=root)
    if isinstance(saved, ResultError):
        raise saved
    return saved


def save_together(
    found: Sequence[tuple[Result, Sequence[Path]]], *, root: Path | None = None
) -> list[Path | ResultError]:
    """Write Results with their run directories, as `save` does; the folder of each, or why it can't be written.

    Whenever this process is killed, all of those that can be written are there, or none.
    """
    if not found:
        return []
    root = root or paths.results()
    made = root / f"{found[0][0].id}.{paths.owner()}{store.UNFINISHED}"
    saved = [_written(result, run_dirs, made / result.id if found[1:] else made, root) for result, run_dirs in found]
    written = [one for one in saved if isinstance(one, _Written)]
    together = made.with_suffix(store.TOGETHER)
    problem: OSError | None = None
    try:
        if len(written) > 1:
            files.sync(made)
            made.rename(together)
            for one in written:
                one.place = together / one.result.id
    except OSError as error:
        problem = error
    folders = [one if isinstance(one, ResultError) else one.published(root, problem) for one in saved]
    for emptied in (made, together):
        with suppress(OSError):  # it isn't there, or holds what can't be moved back
            emptied.rmdir()
    with suppress(OSError):  # they are saved
        files.sync(root)
    for (_, run_dirs), folder in zip(found, folders, strict=True):
        for run_dir in run_dirs if isinstance(folder, Path) else ():
            shutil.rmtree(run_dir, ignore_errors=True)
    return folders


@dataclass(slots=True)
class _Written:
    """A Result whose files are on the disk, but not in its folder yet."""

    result: Result
    run_dirs: Sequence[Path]
    place: Path
    moved: list[tuple[str, Path]]
    """The names of its files that were elsewhere before, and where."""

    def published(self, root: Path, problem: OSError | None) -> Path | ResultError:
        """Its folder, or why it can't have that: the `problem`, or another."""
        folder = root / self.result.id
        try:
            if problem is None:
                store.move(self.place, folder)
                return folder
        except OSError as error:
            problem = error
        return self.undone(root, problem)

    def undone(self, root: Path, error: OSError) -> ResultError:
        """Move everything back to where it was; why that must be."""
        for name, was in reversed(self.moved):
            with suppress(OSError):
                shutil.move(self.place / name, was)
        left = [place for place in self.run_dirs if place.exists()]
        if all(was.exists() for _, was in self.moved):
            shutil.rmtree(self.place, ignore_errors=True)
        else:
            left.append(self.place)
        return ResultError(
            f"{self.result.id} can't be saved in {root}: {error.strerror or error}",
            hint=f"The samples are in {', '.join(map(str, left))}." if left else "",
        )


def _written(result: Result, run_dirs: Sequence[Path], place: Path, root: Path) -> _Written | ResultError:
    """Write a Result's files to the folder `place`, and have them on the disk."""
    try:
        content = as_bytes(result)
    except ResultError as error:
        return error
    one = _Written(result, run_dirs, place, [])
    try:
        _write(content, one)
    except OSError as error:
        return one.undone(root, error)
    return one


def _write(content: bytes, one: _Written) -> None:
    one.place.mkdir(parents=True)
    # First what needs space: on a full disk, nothing has been moved yet.
    (one.place / store.RESULT_FILE).write_bytes(content)
    for number, run_dir in enumerate(one.run_dirs, 1):
        target = store.run_folder(number)
        (one.place / target).mkdir()
        for name in (protocol.SAMPLES_FILE, protocol.END_TO_END_FILE, protocol.LOG_FILE, protocol.OUTPUTS_FILE):
            if _is_regular(run_dir / name):
                shutil.move(run_dir / name, one.place / target / name)
                one.moved.append((f"{target}/{name}", run_dir / name))
    # Synced together: the first writes the names of all.
    moved = [one.place / name for name, _ in one.moved]
    samples = [file for file in moved if file.name in {protocol.SAMPLES_FILE, protocol.END_TO_END_FILE}]
    for path in (*samples, one.place / store.RESULT_FILE, *dict.fromkeys(file.parent for file in moved), one.place):
        files.sync(path)


def _is_regular(file: Path) -> bool:
    """Is it a file, rather than a link or a FIFO that a worker left in its place?"""
    return file.is_file() and not file.is_symlink()
