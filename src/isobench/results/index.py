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

CHUNK = 500
"""Rows that are read, stored and looked up together; some builds of SQLite take no more than 999 parameters."""
MOST_INDEXES = 100
"""So many folders have a stored index; then the one that was changed least recently makes room."""
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
MISSING = (FileNotFoundError, NotADirectoryError)
NOT_ALLOWED = (0, 0)
"""The stamp of a file that can't be looked at."""
_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}

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
        return [_text(name) for (name,) in found]

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
            found = {one.name: one for one in self._ask(statement, [*map(_stored, some), *values], _row)}
            yield from (found[name] for name in some if name in found)

    def newest_of_each(self) -> list[Row]:
        """Of the measured Results with the same `Row.match` and `axes`, the newest; in the order of their oldest."""
        same = "model, model_hash, altered, label, device, script_args, env, axes"
        found = self._ask(
            f"SELECT max(name) FROM results WHERE status = 'measured' GROUP BY {same} ORDER BY min(name)", []
        )
        return list(self.rows([_text(name) for (name,) in found], Wanted(status="measured")))

    def stats(self, wanted: Wanted | None = None) -> list[str]:
        """The names of all figures that the runtimes of the wanted Results saved themselves, sorted."""
        condition, values = (wanted or Wanted()).condition()
        found = self._ask(f"SELECT DISTINCT stats FROM results WHERE {condition}", values)
        return sorted({name for (names,) in found for name in json.loads(_text(names))})

    def _ask(self, statement: str, values: Sequence[Any], read: Callable[[Sequence[Any]], Any] = tuple) -> list[Any]:
        """Everything that a query finds. Nothing is left open, so that no reader holds up one that stores Rows."""
        for recover in (self._opened, functools.partial(self._in_memory, from_files=True)):
            try:
                return [read(row) for row in self._connection.execute(statement, values).fetchall()]
            except (sqlite3.Error, ValueError, TypeError) as error:  # another process is writing, or it is corrupted
                self._connection.close()
                if not (self._read_only or _is_in_use(error)):
                    _remove(self._file)
                self._connection = recover()
        return [read(row) for row in self._connection.execute(statement, values).fetchall()]

    def _opened(self) -> sqlite3.Connection:
        if self._only or _has_fewer(self.root, SMALL):
            return self._in_memory(from_files=True)
        for _ in range(0 if self._read_only else 2):
            try:
                return self._up_to_date(_in_file(self._file))
            except (sqlite3.Error, OSError) as error:
                if _is_in_use(error):
                    break
                _remove(self._file)
        return self._in_memory()

    def _in_memory(self, *, from_files: bool = False) -> sqlite3.Connection:
        """An index for this process, from the stored one as far as that can be read unless it is made `from_files`."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        if not from_files:
            with suppress(sqlite3.Error, OSError):
                place = f"{self._file.as_uri()}?mode=ro"
                with closing(sqlite3.connect(place, uri=True, timeout=BUSY_S, isolation_level=None)) as stored:
                    stored.execute("BEGIN")  # or else `backup` would wait for a writer without an end
                    if _version(stored) == _VERSION:
                        stored.backup(connection)
        return self._up_to_date(_prepared(connection))

    def _up_to_date(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            self._update(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _update(self, connection: sqlite3.Connection) -> None:
        """Add the Results that are new in the folder, and remove those that are gone."""
        new = set(self._only) or _folders(self.root)
        gone = []
        for (stored,) in connection.execute("SELECT name FROM results"):
            try:
                new.remove(stored if type(stored) is str else _text(stored))
            except KeyError:
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
        statement = f"SELECT name FROM results WHERE name IN ({_marks(names)})"
        known = connection.execute(statement, [*map(_stored, names)]).fetchall()
        stored = {_text(name) for (name,) in known}
        found = [read for name in names if name not in stored and (read := _read(self.root, name))]
        if found:
            _write(connection, _STORE, found)

    def _renew(self, names: Sequence[str]) -> None:
        """Read those again whose file has changed since it was read, and remove those whose file is gone."""
        statement = f"SELECT name, mtime_ns, size_bytes FROM results WHERE name IN ({_marks(names)})"
        changed = []
        for stored, mtime_ns, size_bytes in self._ask(statement, [*map(_stored, names)]):
            if _stamp(self.root, _text(stored)) != (mtime_ns, size_bytes):
                changed.append((stored,))
        if not changed:
            return
        found = [read for (name,) in changed if (read := _read(self.root, _text(name)))]
        try:
            self._replace(changed, found)
        except sqlite3.Error:  # a database that only this process sees can be written to
            self.close()
            self._connection = self._in_memory()
            self._replace(changed, found)

    def _replace(self, old: list[tuple[Any]], new: list[list[Any]]) -> None:
        _write(self._connection, "DELETE FROM results WHERE name = ?", old)
        _write(self._connection, _STORE, new)


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


def _in_file(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        for old in sorted(file.parent.glob("*.sqlite"), key=_changed_ns)[: 1 - MOST_INDEXES]:
            _remove(old)
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


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _is_in_use(error: Exception) -> bool:
    """Whether the file itself isn't to blame: another process writes to it, or this one may not."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, OSError) or (code is not None and code & 0xFF in _IN_USE)


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


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


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
        with open(file, "rb") as stream:  # noqa: PTH123 - pathlib's is slower
            stamp = _stamp_of(os.fstat(stream.fileno()))
            raw = stream.read()
    except MISSING:
        return None
    except OSError:
        stamp, raw = NOT_ALLOWED, b""
    try:
        found = rows_.read(raw, name)
    except (ValueError, KeyError, TypeError, AttributeError):
        try:
            found = rows_.of(store.load(file), name)
        except ResultError as error:
            found = rows_.unreadable(name, error)
    return [*map(_stored, map(found.__getattribute__, NAMES)), *stamp]


def _row(stored: Sequence[Any]) -> Row:
    values = {name: _text(value) for name, value in zip(NAMES, stored, strict=True)}
    values |= {name: json.loads(values[name]) for name in _ENCODED}
    values |= {name: tuple(values[name]) for name in _TUPLES}
    return Row(**values)


def _stored(value: Any) -> Any:
    """The value as the database holds it: tuples and mappings as JSON, a text that isn't UTF-8 as its bytes."""
    if isinstance(value, str):
        return value if value.isascii() else _utf8(value)
    return json.dumps(value) if isinstance(value, tuple | dict) else value


def _utf8(text: str) -> str | bytes:
    """A file's name may be no UTF-8, and a model's name and path are made of it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
    return text


def _text(value: Any) -> Any:
    return value.decode(errors="surrogatepass") if isinstance(value, bytes) else value
