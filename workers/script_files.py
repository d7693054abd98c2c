"""What a script depends on: its modules, the files that it opens or looks for, and those that native code may read.

Each dependency is an object with a `path` and a `kind`:

    file      its content: `sha256`
    stamp     its size and time, where only its name says that the script may have read it: `size_bytes`, `mtime_ns`
    present   it exists
    absent    it doesn't exist
    folder    the names in it: `sha256` of them, sorted, one a line
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import script_lookups
import weight_files

_HERE = os.path.dirname(os.path.abspath(__file__))
_IMPORTERS = ("<frozen importlib", os.path.dirname(os.__file__) + "/importlib", os.__file__.replace("os.py", "pkgutil"))
_SYSTEM = ("usr/", "lib/", "lib64/", "bin/")

MOST_LOOKED_FOR = 20_000
"""A script that asks about more paths than this is looking at its data."""


class Files:
    """Records what a script opens and looks for."""

    def __init__(self, script: str, script_args: Sequence[str] = ()) -> None:
        self._script = os.path.abspath(script)
        self._args = list(script_args)
        self._folder = os.path.dirname(self._script)
        self._opened: dict[str, None] = {}
        self._looked_for: dict[str, None] = {}
        self._listed: dict[str, None] = {}
        self._imported: dict[str, None] = {}
        self._variables: dict[str, None] = {}
        self._found: dict[str, dict[str, Any]] = {}
        self._recording = False
        self._began_ns = 0
        self._own_path: list[str] = []
        self._folders = [self._folder]
        self._foreign: tuple[str, ...] = ()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record while the script runs, and again while its model does."""
        if not self._began_ns:
            self._folders = list(dict.fromkeys((self._folder, os.path.realpath(self._folder), os.getcwd())))
            self._foreign = tuple(_foreign_folders(self._folder))
            sys.addaudithook(self._audit)
            self._began_ns = time.time_ns()
        self._recording = True
        try:
            with script_lookups.watched(
                asked=self._ask, read=self._read, module=self._import, variable_missing=self._miss_variable
            ):
                yield
        finally:
            self._recording = False
            self._own_path = [folder for folder in map(_absolute, sys.path) if not self._is_foreign(folder)]

    def missing_variables(self) -> list[str]:
        """The environment variables that the script, or a module of its own, asked for, and that weren't set."""
        return sorted(self._variables)

    def dependencies(self) -> list[dict[str, Any]]:
        """What the script depended on, as it was when this method was first called after it was seen."""
        found = self._found
        modules = list(self._own_modules())
        for path in (self._script, *modules, *self._own(self._opened), *_mapped()):
            if not self._is_foreign(path, module=path in modules):
                _add(found, path, "file")
        texts = {*self._args, *(part for text in self._args for part in text.split("="))}
        for path in (self._script, *modules):
            texts |= weight_files.literals(_source(path))
        named = set(weight_files.named(texts, (*self._folders, *map(os.path.dirname, modules))))
        for path in (*named, *weight_files.near(self._folders)):
            if not self._is_foreign(path) and not self._was_written(path):
                _add(found, path, "stamp")
        for path in (*self._own(self._looked_for), *self._missing_modules()):
            _add(found, path, "present")
        for path in self._own(self._listed):
            _add(found, path, "folder")
        return list(found.values())

    def _own(self, paths: Iterable[str]) -> Iterator[str]:
        """Those that aren't the environment's, and no temporary files that are gone again."""
        temporary = os.path.join(tempfile.gettempdir(), tempfile.gettempprefix())
        for path in list(paths):
            if not self._is_foreign(path) and not (path.startswith(temporary) and not os.path.exists(path)):
                yield path

    def _own_modules(self) -> Iterator[str]:
        """The files of all modules that aren't the environment's, wherever they lie."""
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and not self._is_foreign(_absolute(path), module=True):
                path = _absolute(path)
                while not os.path.exists(path):  # a module in an archive
                    path = os.path.dirname(path)
                if os.path.isfile(path):
                    yield path

    def _missing_modules(self) -> Iterator[str]:
        """Where modules would lie that the script failed to import, or that would be found before its own ones."""
        for name in self._imported:
            module = sys.modules.get(name)
            file = getattr(module, "__file__", None) or ""
            if module is None or (file and not self._is_foreign(_absolute(file), module=True)):
                for folder in self._own_path:
                    if file and _absolute(file).startswith(folder + os.sep):
                        break
                    yield os.path.join(folder, f"{name}.py")
                    yield os.path.join(folder, name)

    def _was_written(self, path: str) -> bool:
        """Was it written while the script ran, so by the script?"""
        with suppress(OSError):
            return self._began_ns - 20_000_000 <= os.stat(path).st_mtime_ns <= time.time_ns()
        return False

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Record what an audit event names. An audit hook can't be removed, so it is switched off instead."""
        if not self._recording:
            return
        if event == "open":
            path, mode, flags = args
            writes = set(mode) & set("wax+") if isinstance(mode, str) else flags & (os.O_WRONLY | os.O_RDWR)
            if not writes:
                _note(self._opened, _source_of(path))
        elif event in {"os.listdir", "os.scandir"}:
            if not sys._getframe(1).f_code.co_filename.startswith(_IMPORTERS):
                _note(self._listed, "." if args[0] is None else args[0])
        elif event == "import":
            self._import(args[0])
        elif event in {"ctypes.dlopen", "sqlite3.connect"} and args and "/" in str(args[0]):
            _note(self._opened, args[0])

    def _ask(self, path: str) -> None:
        if self._recording and len(self._looked_for) < MOST_LOOKED_FOR:
            _note(self._looked_for, path)

    def _read(self, path: str) -> None:
        if self._recording:
            _note(self._opened, path)

    def _import(self, name: str) -> None:
        if self._recording:
            self._imported[name.partition(".")[0]] = None

    def _miss_variable(self, name: str) -> None:
        """Record a variable that own code asks for; libraries ask for hundreds."""
        frame = sys._getframe(2)
        standard = os.path.dirname(os.__file__)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(("<frozen", standard + os.sep)):
            frame = frame.f_back
        if self._recording and not self._is_foreign(os.path.abspath(frame.f_code.co_filename)):
            self._variables[name] = None

    def _is_foreign(self, path: str, *, module: bool = False) -> bool:
        """Does it belong to the environment, to Python, to /proc, /sys or /dev, or to torch's own caches?"""
        if path.endswith(".pyc") and not module:
            return True
        return (path + os.sep).startswith(self._foreign)


def _foreign_folders(script_folder: str) -> Iterator[str]:
    """With a slash at the end. Of the environment and its Python, whole prefixes, unless the script itself lies there.

    In an environment that was adopted the prefix may be /usr.
    """
    folders = {path for name, path in sysconfig.get_paths().items() if name not in {"data", "scripts"}}
    prefixes = {sys.prefix, sys.base_prefix}
    folders |= {one for one in prefixes if not f"{script_folder}/".startswith(one.rstrip("/") + "/")}
    cache = os.environ.get("TORCHINDUCTOR_CACHE_DIR", "/nowhere/inductor")
    folders |= {_HERE, os.path.dirname(cache), "/proc", "/sys", "/dev"}
    for folder in folders | set(map(os.path.realpath, folders)):
        yield folder.rstrip("/") + "/"


def _mapped() -> Iterator[str]:
    """Files that are mapped into memory now, except for the system's libraries."""
    with suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            path = line.partition("/")[2].rstrip("\n")
            if path and not path.endswith(" (deleted)") and not path.startswith(_SYSTEM):
                yield f"/{path}"


def _note(paths: dict[str, None], path: Any) -> None:
    # Whatever is wrong with it (the working folder may be gone), the script itself is to see it.
    with suppress(OSError, ValueError):
        if isinstance(path, str | bytes | os.PathLike):
            paths[_absolute(os.fsdecode(path))] = None


def _absolute(path: str) -> str:
    """Without dots. What is above a link is above the folder that it points to."""
    return os.path.realpath(path) if ".." in path else os.path.abspath(path)


def _source_of(path: Any) -> Any:
    """The source of a module of which only Python's cache was opened."""
    if isinstance(path, str) and path.endswith(".pyc"):
        with suppress(ValueError):
            return importlib.util.source_from_cache(path)
    return path


def _source(path: str) -> str:
    if not path.endswith(".py"):
        return ""
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""


def _add(found: dict[str, dict[str, Any]], path: str, kind: str) -> None:
    """Describe the path as it is, unless it is described already."""
    if path in found and not (kind == "folder" and found[path]["kind"] == "present"):
        return
    with suppress(OSError):
        if not os.path.exists(path):
            found[path] = {"kind": "absent", "path": path}
        elif kind == "folder" and os.path.isdir(path):
            found[path] = {"kind": "folder", "path": path, "sha256": _names_sha256(path)}
        elif kind == "present" or not os.path.isfile(path):
            found[path] = {"kind": "present", "path": path}
        elif kind == "stamp":
            state = os.stat(path)
            size_and_time = {"size_bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
            found[path] = {"kind": "stamp", "path": path, **size_and_time}
        else:
            found[path] = {"kind": "file", "path": path, "sha256": _sha256(path)}


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _names_sha256(folder: str) -> str:
    """Of the names in a folder; Python's own cache isn't counted."""
    names = sorted(name for name in os.listdir(folder) if name != "__pycache__")
    return hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()
