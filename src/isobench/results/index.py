"""The index of a folder of results: a Row for each, in SQLite, so that a list of 100,000 doesn't read their files.

It is made from the result files, by those who read, and is never the truth. Whoever saves a Result doesn't know it: the
folder's names are compared with the index whenever it is opened, and a Result's file is looked at again before its Row
is shown. An index that is missing, of another version or corrupted is rebuilt. One that can't be written (the home is
read-only, the file system has no locks) is built in memory, for one process. Nothing holds a lock for longer than one
statement or the storing of `CHUNK` Rows, so that any number of processes may use it at once and be killed at any time.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import fields
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from isobench import paths
from isobench.errors import ResultError
from isobench.results import row as rows_
from isobench.results import store
from isobench.results.row import NAMES, Row
from isobench.results.wanted import Wanted
from isobench.system import files

CHUNK = 1000
"""Rows that are read before they are stored, or looked up, together."""
SMALL = 100
"""With fewer results than this, the index is made in memory: to read them takes no longer than to open a database."""
BUSY_S = 5.0
"""How long to wait for another process that is storing Rows: it takes milliseconds unless that process hangs."""

_ENCODED = tuple(entry.name for entry in fields(Row) if entry.type.startswith(("tuple", "Mapping")))
_TUPLES = tuple(entry.name for entry in fields(Row) if entry.type.startswith("tuple"))
_COLUMNS = (*NAMES, "mtime_ns", "size_bytes")
_TABLES = (
    f"CREATE TABLE results ({', '.join(_COLUMNS)}, UNIQUE (name))",
    "CREATE INDEX case_keys ON results (case_key)",
    "CREATE INDEX tasks ON results (task)",
)
_VERSION = zlib.crc32(repr((_TABLES, rows_.VERSION)).encode()) >> 1
"""In `user_version`, which has a sign: another version is another table, or another meaning of its columns."""
_STORE = f"INSERT OR REPLACE INTO results VALUES ({', '.join('?' * len(_COLUMNS))})"
_FOREIGN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
"""Errors for which the file itself isn't to blame: it stays as it is."""

Report = Callable[[str], None]


class Index:
    """The Results of one folder. `Index(root)` brings the index up to date; use it with `with`.

    `progress` is called while many files are read, at most once a second.
    """

    def __init__(self, root: Path | None = None, progress: Report | None = None) -> None:
        self.root = root or paths.results()
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

    def names(self, wanted: Wanted | None = None) -> list[str]:
        """The names of the folders of the Results that are wanted, newest first."""
        condition, values = (wanted or Wanted()).condition()
        found = self._ask(f"SELECT name FROM results WHERE {condition} ORDER BY name DESC", values)
        return [_text(name) for (name,) in found]

    def rows(self, names: Sequence[str], wanted: Wanted | None = None) -> Iterator[Row]:
        """The Rows of these names, in their order, each after a look at its file.

        One that was removed meanwhile is left out; so is one whose file has changed so that it isn't `wanted` any more.
        """
        condition, values = (wanted or Wanted()).condition()
        for start in range(0, len(names), CHUNK // 4):
            some = names[start : start + CHUNK // 4]
            self._renew(some)
            marks = ", ".join("?" * len(some))
            statement = f"SELECT {', '.join(NAMES)} FROM results WHERE name IN ({marks}) AND {condition}"
            found = {one.name: one for one in map(_row, self._ask(statement, [*map(_bound, some), *values]))}
            yield from (found[name] for name in some if name in found)

    def newest_of_each(self) -> list[Row]:
        """Of the measured Results with the same `Row.match`, the newest; those first that were first measured first."""
        same = "model, model_hash, altered, label, device, script_args, env"
        found = self._ask(
            f"SELECT max(name) FROM results WHERE status = 'measured' GROUP BY {same} ORDER BY min(name)", []
        )
        return list(self.rows([_text(name) for (name,) in found], Wanted(status="measured")))

    def stats(self) -> list[str]:
        """The names of all figures that runtimes saved themselves, sorted."""
        found = self._ask("SELECT DISTINCT stats FROM results", [])
        return sorted({name for (names,) in found for name in json.loads(_text(names))})

    def _ask(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """Everything that a query finds. Nothing is left open, so that no reader holds up one that stores Rows."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error:  # the file was corrupted, or removed with the folder that held it
            self.close()
            self._connection = self._opened()
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error:
            self.close()
            self._connection = self._in_memory()
            return self._connection.execute(statement, values).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if _has_fewer(self.root, SMALL):
            return self._in_memory()
        for _ in range(2):
            try:
                return self._up_to_date(_in_file(self._file))
            except (sqlite3.Error, OSError) as error:
                code = getattr(error, "sqlite_errorcode", None)
                if code is None or code & 0xFF in _FOREIGN:
                    break
                _remove(self._file)
        return self._in_memory()

    def _in_memory(self) -> sqlite3.Connection:
        """An index for this process alone, from the one in the file as far as that can be read."""
        connection = _prepared(sqlite3.connect(":memory:", isolation_level=None))
        with suppress(sqlite3.Error, OSError):
            place = f"{self._file.as_uri()}?mode=ro"
            if self._file.exists():
                with closing(sqlite3.connect(place, uri=True, timeout=BUSY_S)) as stored:
                    if _version(stored) == _VERSION:
                        stored.backup(connection)
        return self._up_to_date(connection)

    def _up_to_date(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            self._update(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _update(self, connection: sqlite3.Connection) -> None:
        """Add the Results that are new in the folder, and remove those that are gone."""
        new = _folders(self.root)
        gone = []
        for (stored,) in connection.execute("SELECT name FROM results"):
            name = _text(stored)
            if name in new:
                new.remove(name)
            else:
                gone.append((stored,))
        if gone:
            _write(connection, "DELETE FROM results WHERE name = ?", gone)
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
        marks = ", ".join("?" * len(names))
        known = connection.execute(
            f"SELECT name FROM results WHERE name IN ({marks})", [*map(_bound, names)]
        ).fetchall()
        stored = {_text(name) for (name,) in known}
        found = [read for name in names if name not in stored and (read := _read(self.root, name))]
        if found:
            _write(connection, _STORE, found)

    def _renew(self, names: Sequence[str]) -> None:
        """Read those again whose file has changed since it was read, and remove those whose file is gone."""
        marks = ", ".join("?" * len(names))
        statement = f"SELECT name, mtime_ns, size_bytes FROM results WHERE name IN ({marks})"
        changed = []
        for stored, mtime_ns, size_bytes in self._ask(statement, [*map(_bound, names)]):
            if _stamp(self.root, _text(stored)) != (mtime_ns, size_bytes):
                changed.append((stored,))
        if not changed:
            return
        found = [read for (name,) in changed if (read := _read(self.root, _text(name)))]
        try:
            self._replace(changed, found)
        except sqlite3.Error:
            self.close()
            self._connection = self._in_memory()
            self._replace(changed, found)

    def _replace(self, old: list[tuple[Any]], new: list[list[Any]]) -> None:
        _write(self._connection, "DELETE FROM results WHERE name = ?", old)
        _write(self._connection, _STORE, new)


def rows(root: Path | None = None, *, limit: int = 0, progress: Report | None = None, **wanted: str) -> Iterator[Row]:
    """The Rows of a folder of results that are wanted (`Wanted`), newest first, at most `limit` (0: all).

    Raises:
        TypeError: `Wanted` has no such member.
    """
    which = Wanted(**wanted)
    with Index(root, progress) as index:
        yield from islice(index.rows(index.names(which), which), limit or None)


def count(root: Path | None = None, *, progress: Report | None = None, **wanted: str) -> int:
    """The number of Results that are wanted."""
    with Index(root, progress) as index:
        return len(index.names(Wanted(**wanted)))


def _in_file(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Whoever uses the index at the same time waits; a power cut may corrupt it, and then it is rebuilt.
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        return _prepared(connection)
    except BaseException:
        connection.close()
        raise


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The database with the tables of this version."""
    if _version(connection) == _VERSION:
        return connection
    connection.execute("BEGIN IMMEDIATE")
    if _version(connection) != _VERSION:  # no other process has made them meanwhile
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE "{name}"')
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")
    return connection


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _write(connection: sqlite3.Connection, statement: str, values: Sequence[Sequence[Any]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(statement, values)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _remove(file: Path) -> None:
    """Remove an index. First its journal: the next index must not be changed by it."""
    for one in (file.with_name(f"{file.name}-journal"), file):
        with suppress(OSError):
            one.unlink(missing_ok=True)


def _folders(root: Path) -> set[str]:
    try:
        return set(os.listdir(root))  # noqa: PTH208 - pathlib's makes a Path of each
    except FileNotFoundError:
        return set()


def _has_fewer(root: Path, number: int) -> bool:
    try:
        with os.scandir(root) as entries:
            return sum(1 for _ in islice(entries, number)) < number
    except FileNotFoundError:
        return True


def _stamp(root: Path, name: str) -> tuple[int, int] | None:
    """What a file that has changed differs in: whatever the clock says, and even if it went back."""
    try:
        status = os.stat(f"{root}/{name}/{store.RESULT_FILE}")  # noqa: PTH116 - pathlib's is slower
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _read(root: Path, name: str) -> list[Any] | None:
    """The values of a Result's Row in the database; None if the folder holds none (yet)."""
    file = f"{root}/{name}/{store.RESULT_FILE}"
    stamp = _stamp(root, name)
    if stamp is None:
        return None
    try:
        with open(file, "rb") as stream:  # noqa: PTH123 - pathlib's is slower
            found = rows_.read(stream.read(), name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        try:
            found = rows_.of(store.load(file), name)
        except ResultError as error:
            found = rows_.unreadable(name, error)
    values = {entry: getattr(found, entry) for entry in NAMES}
    values |= {entry: json.dumps(values[entry]) for entry in _ENCODED}
    return [*map(_bound, values.values()), *stamp]


def _row(stored: Sequence[Any]) -> Row:
    values = {name: _text(value) for name, value in zip(NAMES, stored, strict=True)}
    values |= {name: json.loads(values[name]) for name in _ENCODED}
    values |= {name: tuple(values[name]) for name in _TUPLES}
    return Row(**values)


def _bound(value: Any) -> Any:
    """The value as the database takes it: a text that isn't UTF-8 (the name of a file may not be) as its bytes."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode(errors="surrogatepass")
    return value


def _text(value: Any) -> Any:
    return value.decode(errors="surrogatepass") if isinstance(value, bytes) else value
