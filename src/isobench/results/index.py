"""The index of a folder of results: a Row for each, in SQLite, so that a list of 100,000 doesn't read their files.

It is made from the result files, by those who read, and is never the truth. Whoever saves a Result doesn't know it: the
folder's names are compared with the index whenever it is opened, and a Result's file is looked at again before its Row
is shown. An index that is missing, of another version or corrupted is rebuilt. One that can't be written (the home is
read-only, the file system has no locks) is built in memory, for one process. Nothing holds a lock for longer than one
statement or the storing of `CHUNK` Rows, so that any number of processes may use it at once and be killed at any time.
"""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from isobench import paths
from isobench.errors import ResultError
from isobench.results import index_file, store
from isobench.results import row as rows_
from isobench.results.row import NAMES, Row
from isobench.results.wanted import Wanted
from isobench.system import files
from isobench.workers import protocol

CHUNK = 500
"""Rows that are read, stored and looked up together; some builds of SQLite take no more than 999 parameters."""
SMALL = 100
"""With fewer results than this, the index is made in memory: to read them takes no longer than to open a database."""
MISSING = (FileNotFoundError, NotADirectoryError)
NOT_ALLOWED = (0, 0)
"""The stamp of a file that can't be looked at."""
Report = Callable[[str], None]


class Index:
    """The Results of one folder. `Index(root)` brings the index up to date; use it with `with`.

    `only` names some of its folders, which are then all that there is. `read_only`: what the stored index lacks is read
    and not stored, as it must be where many nodes share a file system. `progress` is called while many files are read,
    at most once a second.
    """

    def __init__(
        self,
        root: Path | None = None,
        progress: Report | None = None,
        *,
        only: Sequence[str] = (),
        read_only: bool = False,
    ) -> None:
        self.root = root or paths.results()
        self._only = only
        self._read_only = read_only
        self._progress = progress
        self._file = paths.index(files.sha256_of(os.fsencode(os.path.realpath(self.root)))[:24])
        self._connection = self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def names(self, wanted: Wanted | None = None, *, limit: int = 0) -> list[str]:
        """The names of the folders of the Results that are wanted, newest first, at most `limit` (0: all)."""
        condition, values = (wanted or Wanted()).condition()
        found = self._ask(
            f"SELECT name FROM results WHERE {condition} ORDER BY name DESC LIMIT ?", [*values, limit or -1]
        )
        return [index_file.text(name) for (name,) in found]

    def count(self, wanted: Wanted | None = None) -> int:
        """The number of Results that are wanted."""
        condition, values = (wanted or Wanted()).condition()
        [(number,)] = self._ask(f"SELECT count(*) FROM results WHERE {condition}", values)
        return int(number)

    def rows(self, names: Sequence[str], wanted: Wanted | None = None) -> Iterator[Row]:
        """The Rows of these names, in their order, each after a look at its file.

        One that was removed meanwhile is left out; so is one whose file has changed so that it isn't `wanted` any more.
        """
        condition, values = (wanted or Wanted()).condition()
        for start in range(0, len(names), CHUNK):
            some = names[start : start + CHUNK]
            self._renew(some)
            statement = f"SELECT {', '.join(NAMES)} FROM results WHERE name IN ({_marks(some)}) AND {condition}"
            found = {one.name: one for one in self._ask(statement, [*some, *values], index_file.row_of)}
            yield from (found[name] for name in some if name in found)

    def newest_of_each(self) -> list[Row]:
        """Of the measured Results with the same `Row.match` and `axes`, the newest; in the order of their oldest."""
        same = "model, model_hash, altered, label, device, script_args, env, axes"
        found = self._ask(
            f"SELECT max(name) FROM results WHERE status = 'measured' GROUP BY {same} ORDER BY min(name)", []
        )
        return list(self.rows([index_file.text(name) for (name,) in found], Wanted(status="measured")))

    def stats(self, wanted: Wanted | None = None) -> list[str]:
        """The names of all figures that the runtimes of the wanted Results saved themselves, sorted."""
        condition, values = (wanted or Wanted()).condition()
        found = self._ask(f"SELECT DISTINCT stats FROM results WHERE {condition}", values)
        return sorted({name for (names,) in found for name in json.loads(index_file.text(names))})

    def _ask(self, statement: str, values: Sequence[Any], read: Callable[[Sequence[Any]], Any] = tuple) -> list[Any]:
        """Everything that a query finds. Nothing is left open, so that no reader holds up one that stores Rows."""
        for recover in (self._opened, functools.partial(self._in_memory, from_files=True)):
            try:
                return self._found(statement, values, read)
            except index_file.BROKEN as error:  # another process is writing, or it is corrupted
                self._connection.close()
                if not (self._read_only or index_file.is_in_use(error)):
                    index_file.remove(self._file)
                self._connection = recover()
        return self._found(statement, values, read)

    def _found(self, statement: str, values: Sequence[Any], read: Callable[[Sequence[Any]], Any]) -> list[Any]:
        found = self._connection.execute(statement, [*map(index_file.stored, values)])
        return [read(row) for row in found.fetchall()]

    def _opened(self) -> sqlite3.Connection:
        if self._only or _has_fewer(self.root, SMALL):
            return self._in_memory(from_files=True)
        for _ in range(0 if self._read_only else 2):
            try:
                return self._up_to_date(index_file.opened(self._file))
            except index_file.BROKEN as error:
                if index_file.is_in_use(error):
                    break
                index_file.remove(self._file)
        return self._in_memory()

    def _in_memory(self, *, from_files: bool = False) -> sqlite3.Connection:
        """An index for this process, from the stored one as far as that can be read unless it is made `from_files`."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        if not from_files:
            with suppress(*index_file.BROKEN):
                index_file.copy(self._file, connection)
        try:
            return self._up_to_date(index_file.prepared(connection))
        except index_file.BROKEN:
            if from_files:
                raise
            return self._in_memory(from_files=True)  # the copy is as corrupted as the stored one

    def _up_to_date(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            self._update(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _update(self, connection: sqlite3.Connection) -> None:
        """Add the Results that are new in the folder, and remove those that are gone."""
        new = set(self._only or store.names(self.root))
        gone = []
        for (stored,) in connection.execute("SELECT name FROM results"):
            try:
                new.remove(stored if type(stored) is str else index_file.text(stored))
            except KeyError:
                gone.append((stored,))
        if gone:
            index_file.write(connection, "DELETE FROM results WHERE name = ?", gone)
        reported_s, done = time.monotonic(), 0
        names = iter(sorted(new))
        while some := list(islice(names, CHUNK)):
            self._add(connection, some)
            done += len(some)
            if self._progress and time.monotonic() - reported_s >= 1:
                reported_s = time.monotonic()
                self._progress(f"reading results for their index: {done:,} of {len(new):,}")

    def _add(self, connection: sqlite3.Connection, names: Sequence[str]) -> None:
        """Read Results, and store their Rows; those that another process has stored meanwhile aren't read again."""
        statement = f"SELECT name FROM results WHERE name IN ({_marks(names)})"
        known = connection.execute(statement, [*map(index_file.stored, names)]).fetchall()
        stored = {index_file.text(name) for (name,) in known}
        found = [read for name in names if name not in stored and (read := _read(self.root, name))]
        if found:
            index_file.write(connection, index_file.STORE, found)

    def _renew(self, names: Sequence[str]) -> None:
        """Read those again whose file has changed since it was read, and remove those whose file is gone."""
        statement = f"SELECT name, mtime_ns, size_bytes FROM results WHERE name IN ({_marks(names)})"
        changed = []
        for stored, mtime_ns, size_bytes in self._ask(statement, [*map(index_file.stored, names)]):
            if _stamp(self.root, index_file.text(stored)) != (mtime_ns, size_bytes):
                changed.append((stored,))
        if not changed:
            return
        found = [read for (name,) in changed if (read := _read(self.root, index_file.text(name)))]
        try:
            self._replace(changed, found)
        except index_file.BROKEN as error:  # a database that only this process sees can be written to
            self.close()
            if index_file.is_in_use(error) or self._read_only:
                self._connection = self._in_memory()
                with suppress(*index_file.BROKEN):
                    self._replace(changed, found)
                    return
                self.close()
            else:
                index_file.remove(self._file)
            self._connection = self._in_memory(from_files=True)

    def _replace(self, old: list[tuple[Any]], new: list[list[Any]]) -> None:
        index_file.write(self._connection, "DELETE FROM results WHERE name = ?", old)
        index_file.write(self._connection, index_file.STORE, new)


def rows(
    root: Path | None = None,
    *,
    limit: int = 0,
    progress: Report | None = None,
    read_only: bool = False,
    **wanted: str,
) -> Iterator[Row]:
    """The Rows of a folder of results that are wanted (`Wanted`), newest first, at most `limit` (0: all).

    Raises:
        TypeError: `Wanted` has no such member.
    """
    which = Wanted(**wanted)
    with Index(root, progress, read_only=read_only) as index:
        yield from index.rows(index.names(which, limit=limit), which)


def count(root: Path | None = None, *, progress: Report | None = None, **wanted: str) -> int:
    """The number of Results that are wanted."""
    with Index(root, progress) as index:
        return index.count(Wanted(**wanted))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _has_fewer(root: Path, number: int) -> bool:
    try:
        with os.scandir(root) as entries:
            return sum(1 for _ in islice(entries, number)) < number
    except OSError:
        return True


def _stamp(root: Path, name: str) -> tuple[int, int] | None:
    """The stamp of a Result's file; None if the folder holds none (any more)."""
    try:
        return _stamp_of(os.stat(f"{root}/{name}/{store.RESULT_FILE}"))  # noqa: PTH116 - pathlib's is slower
    except MISSING:
        return None
    except OSError:
        return NOT_ALLOWED


def _stamp_of(status: os.stat_result) -> tuple[int, int]:
    """What differs in a file that has changed. It is compared for equality, so that no clock has to be right."""
    return status.st_mtime_ns, status.st_size


def _read(root: Path, name: str) -> list[Any] | None:
    """The values of a Result's Row in the database; None if the folder holds none (yet)."""
    file = f"{root}/{name}/{store.RESULT_FILE}"
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not block
        with open(descriptor, "rb") as stream:  # noqa: PTH123 - of a descriptor
            status = os.fstat(descriptor)
            stamp = _stamp_of(status)
            size = min(status.st_size, protocol.MOST_JSON_BYTES) + 1  # it may grow meanwhile
            raw = stream.read(size) if stat.S_ISREG(status.st_mode) else b""
    except MISSING:
        return None
    except OSError:
        stamp, raw = NOT_ALLOWED, b""
    try:
        found = rows_.read(raw, name)
    except rows_.UNFIT:
        try:
            found = rows_.of(store.load(file), name)
        except ResultError as error:
            found = rows_.unreadable(name, error)
    return [*map(index_file.stored, map(found.__getattribute__, NAMES)), *stamp]
