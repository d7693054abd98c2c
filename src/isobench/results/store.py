"""Results on disk: a folder for each, named by its id."""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.codec import decode
from isobench.errors import ResultError
from isobench.record import record
from isobench.results.records import SCHEMA, Measured, Result
from isobench.results.upgrades import UPGRADES, upgrade
from isobench.system.names import by_prefix
from isobench.workers import protocol

RESULT_FILE = "result.json"


@record(frozen=True, slots=True, kw_only=True)
class SavedResult:
    """A Result and the folder that holds it."""

    result: Result
    folder: Path


def save(result: Result, *, run_dirs: Sequence[Path] = (), root: Path | None = None) -> Path:
    """Write the Result, and move the samples and the log of each run beside it; return its folder.

    The run directories are removed.

    Raises:
        ResultError: it can't be written; then the samples stay where they are.
    """
    folder = (root or paths.results()) / result.id
    try:
        _save(result, run_dirs, folder)
    except OSError as error:
        left = ", ".join(str(place) for place in (folder, *run_dirs) if place.exists())
        raise ResultError(
            f"{result.id} can't be saved in {folder.parent}: {error.strerror}",
            hint=f"The samples are in {left}." if left else "",
        ) from None
    return folder


def _save(result: Result, run_dirs: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, run_dir in enumerate(run_dirs, 1):
        target = folder / run_folder(number)
        target.mkdir()
        for name in (protocol.SAMPLES_FILE, protocol.END_TO_END_FILE, protocol.LOG_FILE, protocol.OUTPUTS_FILE):
            if (run_dir / name).exists():
                shutil.move(run_dir / name, target / name)
    protocol.write_json(folder / RESULT_FILE, result.to_json())
    for run_dir in run_dirs:
        shutil.rmtree(run_dir, ignore_errors=True)


def run_folder(number: int) -> str:
    """The name of a run's folder; runs are numbered from 1."""
    return f"run-{number}"


def load(name: str, *, root: Path | None = None) -> Result:
    """The Result of an id (or of an unambiguous beginning of one), a folder, or a `result.json`.

    Raises:
        ResultError: none or several match, or the file isn't as the schema says.
    """
    file = _find(name, root or paths.results())
    try:
        result: Result = decode(Result, _read(file), "result")
    except FileNotFoundError:
        raise ResultError(f"{file} does not exist", hint="List all results: isobench list") from None
    except OSError as error:
        raise ResultError(f"{file} can't be read: {error.strerror}") from None
    except protocol.SchemaError as error:
        ours = str(error.found).startswith(SCHEMA.partition("/")[0])
        hint = "Read it with the isobench that wrote it: its member `isobench` is the version." if ours else ""
        readable = ", ".join([SCHEMA, *UPGRADES])
        raise ResultError(f"{file} has schema {error.found!r}; this isobench reads {readable}", hint=hint) from None
    except protocol.ProtocolError as error:
        raise ResultError(str(error)) from None
    except ValueError as error:
        raise ResultError(f"{file} is corrupted, or from another version: {error}") from None
    return result


def _read(file: Path) -> dict[str, Any]:
    """The JSON of a Result, in the present schema."""
    try:
        return protocol.read_json(file, SCHEMA)
    except protocol.SchemaError as error:
        if error.found not in UPGRADES:
            raise
        return upgrade(protocol.read_json(file, str(error.found)))


def load_all(root: Path | None = None) -> Iterator[Result | ResultError]:
    """Every Result, the oldest first; instead of one that can't be read, the error that says why."""
    for file in files(root or paths.results()):
        try:
            yield load(str(file))
        except ResultError as error:
            yield error


def files(root: Path) -> list[Path]:
    """Every `result.json` in a folder of results, the oldest first."""
    return [root / name / RESULT_FILE for name in _names(root)]


def _names(root: Path, prefix: str = "") -> list[str]:
    """The names of the folders that hold a Result, sorted. Only of those with the prefix more than the name is read."""
    try:
        names = os.listdir(root)  # noqa: PTH208 - pathlib's makes a Path of each: seconds for 100,000
    except OSError:
        return []
    found = sorted(name for name in names if name.startswith(prefix))
    return [name for name in found if os.path.exists(f"{root}/{name}/{RESULT_FILE}")]  # noqa: PTH110 - pathlib's is slower


def samples_ns(result: Result, folder: Path) -> list[array[int]]:
    """The raw samples of each run in their order: nanoseconds of `group` iterations each.

    Raises:
        ResultError: they are missing or corrupted.
    """
    assert isinstance(result.outcome, Measured)
    found = []
    for run in result.outcome.runs:
        try:
            samples = protocol.read_samples(folder / run.samples_file)
        except OSError as error:
            raise ResultError(f"the samples of {result.id} can't be read: {error.filename}: {error.strerror}") from None
        except protocol.ProtocolError as error:
            raise ResultError(f"the samples of {result.id} are corrupted: {error}") from None
        taken = sum(block.samples for block in run.blocks)
        if run.blocks and len(samples) != taken:
            raise ResultError(
                f"the samples of {result.id} are corrupted: {run.samples_file} has {len(samples)} of {taken} samples"
            )
        found.append(samples)
    return found


def folder_of(name: str, *, root: Path | None = None) -> Path:
    """The folder of the Result that `load` finds."""
    return _find(name, root or paths.results()).parent


def remove(folder: Path, *, root: Path) -> None:
    """Remove a Result from a folder of results.

    Raises:
        ResultError: it isn't in that folder, or can't be removed.
    """
    if folder.resolve().parent != root.resolve():
        raise ResultError(f"{folder} isn't in {root}", hint="Name the folder of results: --from FOLDER")
    try:
        # First the file that makes it a Result, so that nobody takes half of it for one.
        (folder / RESULT_FILE).unlink()
        shutil.rmtree(folder)
    except OSError as error:
        import shlex

        raise ResultError(
            f"{folder} can't be removed: {error.strerror}", hint=f"Check its owner: ls -ld {shlex.quote(str(folder))}"
        ) from None


def _find(name: str, root: Path) -> Path:
    path = Path(name)
    if path.suffix == ".json":
        return path
    if (path / RESULT_FILE).exists():
        return path / RESULT_FILE
    found = by_prefix(name, _names(root, name), str)
    if len(found) == 1:
        return root / found[0] / RESULT_FILE
    if found:
        several = ", ".join(found[-5:])
        newest = ", the newest of them" if len(found) > 5 else ""
        raise ResultError(f"{name} matches {len(found)} results{newest}: {several}", hint="Give more of the id.")
    raise ResultError(f"no result {name!r} in {root}", hint="List all results: isobench list")
