"""Results on disk: a folder for each, named by its id."""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.codec import decode
from isobench.constraints import shown
from isobench.errors import ResultError
from isobench.record import record
from isobench.results.records import SCHEMA, Measured, Result
from isobench.results.upgrades import UPGRADES, upgrade
from isobench.system.names import by_prefix
from isobench.workers import protocol

RESULT_FILE = "result.json"
UNFINISHED = ".tmp"
"""At the end of the name of a folder whose Result is being saved."""
TOGETHER = ".saved"
"""At the end of the name of a folder of Results that were saved together, until each has its own."""
MOST_CHARACTERS = 500
"""Of what is said of a file that can't be read."""


@record(frozen=True, slots=True, kw_only=True)
class SavedResult:
    """A Result and the folder that holds it; None where it couldn't be saved, for the reason `problem`."""

    result: Result
    folder: Path | None
    problem: str = ""

    @property
    def name(self) -> str:
        """The name of its folder: its id, unless somebody renamed the folder."""
        return self.folder.name if self.folder is not None else self.result.id


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
        raise ResultError(
            f"{file} has schema {shown(error.found)}; this isobench reads {readable}", hint=hint
        ) from None
    except protocol.ProtocolError as error:
        raise ResultError(str(error)) from None
    except ValueError as error:
        raise ResultError(f"{file} is corrupted, or from another version: {cut(error)}") from None
    return result


def cut(error: Exception) -> str:
    return shown(str(error) or type(error).__name__, plain=True, most=MOST_CHARACTERS)


def _read(file: Path) -> dict[str, Any]:
    """The JSON of a Result, in the present schema."""
    try:
        value = protocol.read_json(file, SCHEMA)
    except protocol.SchemaError as error:
        if not (isinstance(error.found, str) and error.found in UPGRADES):
            raise
        value = upgrade(protocol.read_json(file, error.found))
    return without_ending(value)


def without_ending(value: dict[str, Any]) -> dict[str, Any]:
    value.pop("ending", None)  # it follows from the other members
    return value


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
    found = sorted(name for name in names(root) if name.startswith(prefix))
    return [name for name in found if os.path.lexists(f"{root}/{name}/{RESULT_FILE}")]


def move(place: Path, folder: Path) -> None:
    """Give a Result its folder, unless another process has done that for a process that it took for killed."""
    try:
        place.rename(folder)
    except FileNotFoundError:
        if not folder.exists():
            raise


def names(root: Path) -> list[str]:
    """The names of the folders of Results, in no order; those whose Result is still being saved are left out.

    Results that were saved together and have no folders of their own yet, because the process was killed, get them.

    Raises:
        ResultError: the folder can't be read.
    """
    found = _listed(root)
    together = [root / name for name in found if name.endswith(TOGETHER)]
    for folder in together:
        with suppress(OSError):  # whoever may write there will do it
            _part(folder, root)
    return [name for name in (_listed(root) if together else found) if not name.endswith((UNFINISHED, TOGETHER))]


def _part(together: Path, root: Path) -> None:
    """Give the Results that were saved together a folder each, and replace nothing by it."""
    if together.is_symlink():  # somebody else's
        return
    for place in together.iterdir():
        if not os.path.lexists(root / place.name):
            move(place, root / place.name)
    together.rmdir()


def _listed(root: Path) -> list[str]:
    try:
        return os.listdir(root)  # noqa: PTH208 - pathlib's makes a Path of each: seconds for 100,000
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResultError(f"{root} can't be read: {error.strerror}") from None


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
        except ValueError:
            raise ResultError(f"the samples of {result.id} can't be read: {shown(run.samples_file)}") from None
        taken = sum(block.samples for block in run.blocks)
        if run.blocks and len(samples) != taken:
            raise ResultError(
                f"the samples of {result.id} are corrupted: {run.samples_file} has {len(samples)} of {taken} samples"
            )
        if min(samples, default=0) < 0:
            raise ResultError(f"the samples of {result.id} are corrupted: {run.samples_file} has negative ones")
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
    if os.path.lexists(path / RESULT_FILE):
        return path / RESULT_FILE
    found = by_prefix(name, _names(root, name), str)
    if len(found) == 1:
        return root / found[0] / RESULT_FILE
    if found:
        several = ", ".join(found[-5:])
        newest = ", the newest of them" if len(found) > 5 else ""
        raise ResultError(f"{name} matches {len(found)} results{newest}: {several}", hint="Give more of the id.")
    raise ResultError(f"no result {shown(name)} in {root}", hint="List all results: isobench list")
