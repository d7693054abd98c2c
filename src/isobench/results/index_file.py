"""The SQLite file of an index of results: its tables and values, and how it is opened, copied, written and removed."""

from __future__ import annotations

import errno
import json
import sqlite3
import stat
import zlib
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from isobench.results import row as rows_
from isobench.results.row import NAMES, Row

MOST_INDEXES = 100
"""So many folders have a stored index; then the one that was changed least recently makes room."""
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
VERSION = zlib.crc32(repr((_TABLES, rows_.VERSION)).encode()) >> 1
"""In `user_version`, which has a sign: another version is another table, or another meaning of its columns."""
STORE = f"INSERT OR REPLACE INTO results VALUES ({', '.join('?' * len(_COLUMNS))})"

BROKEN = (sqlite3.Error, OSError, *rows_.UNFIT)
"""What reading and writing a database raises that is in use or corrupted; a text in it may be no UTF-8."""
_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


def opened(file: Path) -> sqlite3.Connection:
    """The database in a file, made if it is missing; then the oldest of other folders' make room.

    Raises:
        sqlite3.Error, OSError: it can't be opened, is corrupted, or another process is writing to it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        _check_kinds(file)
    except OSError:
        remove(file)
        _check_kinds(file)
    if not file.exists():
        for old in sorted(file.parent.glob("*.sqlite"), key=_changed_ns)[: 1 - MOST_INDEXES]:
            remove(old)
    # Whoever uses the index at the same time waits; a power cut may corrupt it, and then it is rebuilt.
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        return prepared(connection)
    except BaseException:
        connection.close()
        raise


def copy(file: Path, connection: sqlite3.Connection) -> None:
    """Copy the stored database of this version, if there is one, into another; nothing is written to the file.

    Raises:
        sqlite3.Error, OSError: it can't be read.
    """
    _check_kinds(file)
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)) as stored:
        stored.execute("BEGIN")  # or else `backup` would wait for a writer without an end
        if _version_of(stored) == VERSION:
            stored.backup(connection)


def prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The database with the tables of this version."""
    if _version_of(connection) == VERSION:
        return connection
    connection.execute("BEGIN IMMEDIATE")
    if _version_of(connection) != VERSION:  # no other process has made them meanwhile
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE "{name}"')
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    return connection


def _version_of(connection: sqlite3.Connection) -> int:
    """Equal to `VERSION` in a database that has these tables."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def is_in_use(error: Exception) -> bool:
    """Whether the file itself isn't to blame: another process writes to it, or this one may not."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, OSError) or (code is not None and code & 0xFF in _IN_USE)


def write(connection: sqlite3.Connection, statement: str, values: Sequence[Sequence[Any]]) -> None:
    """Execute a statement for each of the values, all or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(statement, values)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def remove(file: Path) -> None:
    """Remove an index. First its journal: the next index must not be changed by it."""
    for one in _files(file):
        with suppress(OSError):
            one.unlink(missing_ok=True)


def _files(file: Path) -> list[Path]:
    """What SQLite opens: the database's journals, and the database last."""
    return [file.with_name(f"{file.name}{suffix}") for suffix in ("-journal", "-wal", "-shm", "")]


def _check_kinds(file: Path) -> None:
    """Raises:
    OSError: one of the database's files isn't a regular one: SQLite would wait for a FIFO's writer.
    """
    for one in _files(file):
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(one.lstat().st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(one))


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def row_of(columns: Sequence[Any]) -> Row:
    """The Row of what the database holds.

    Raises:
        one of `results.row.UNFIT`: it is corrupted.
    """
    values = {name: text(value) for name, value in zip(NAMES, columns, strict=True)}
    values |= {name: json.loads(values[name]) for name in _ENCODED}
    values |= {name: tuple(values[name]) for name in _TUPLES}
    row = Row(**values)
    rows_.check(row)
    return row


def stored(value: Any) -> Any:
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


def text(value: Any) -> Any:
    """The value as it was before `stored`, without its JSON."""
    return value.decode(errors="surrogatepass") if isinstance(value, bytes) else value
