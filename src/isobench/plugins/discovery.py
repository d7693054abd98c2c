"""Plugins: installed packages that announce themselves through the entry point group `isobench.plugins`.
Executors of sweeps have a group of their own, `isobench.executors` (`executors/registry.py` loads them).

    [options.entry_points]
    isobench.plugins =
        mine = my_package.plugin          # a module that holds a dictionary `implements`, or `module:attribute`

isobench's own runtimes are found in the same way. A plugin's package may contain `envs/NAME/` (specs of environments)
and `workers/NAME.py`, by the same rules as isobench's own; they lie in the module's package, or in a parent package.

A plugin that can't be loaded is listed with the reason, and the others still work.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import Any

from isobench import paths
from isobench.record import record
from isobench.workers import protocol

GROUP = "[isobench.plugins]"
EXECUTORS = "[isobench.executors]"
OWN = {"isobench.runtimes.builtin": ("runtimes",), "isobench.tools.builtin": ("tools", "sequences")}
"""isobench's own modules, and the keys that each has."""
OWN_PACKAGE = "isobench."
KEYS = ("runtimes", "tools", "sequences")
_MOST_BYTES = 1 << 20


@record(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point. `distribution` is the package that declares it, with its version ("isobench 0.1.0").

    `implements` is what it provides; {} if it can't be loaded: then `error` is the reason, with a `traceback`.
    """

    name: str
    module: str
    distribution: str
    implements: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    traceback: str = ""


def announced() -> tuple[Plugin, ...]:
    """Every entry point of a plugin, isobench's own first; nothing is imported."""
    return _announced()[GROUP]


def executors() -> tuple[Plugin, ...]:
    """Every entry point of an executor of sweeps, isobench's own first; nothing is imported."""
    return _announced()[EXECUTORS]


@cache
def _announced() -> Mapping[str, tuple[Plugin, ...]]:
    """Every entry point of each group.

    Read from the installed packages' own files: `importlib.metadata` takes forty milliseconds, a fifth of a whole
    benchmark of a small model.
    """
    found: dict[str, dict[str, Plugin]] = {GROUP: {}, EXECUTORS: {}}
    for folder in dict.fromkeys(path for path in sys.path if path):
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info")))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            for group, plugin in _entry_points(os.path.join(folder, name, "entry_points.txt"), name):  # noqa: PTH118
                found[group].setdefault(plugin.module, plugin)
    return {
        group: tuple(sorted(each.values(), key=lambda plugin: not plugin.module.startswith(OWN_PACKAGE)))
        for group, each in found.items()
    }


@cache
def loaded(key: str = "") -> tuple[Plugin, ...]:
    """Every plugin, with what it implements or the reason why it can't be loaded.

    With a `key` ("runtimes", "tools"), isobench's own modules that don't have it are left out and not imported.
    """
    return tuple(_load(plugin) for plugin in announced() if not key or key in OWN.get(plugin.module, KEYS))


def envs() -> list[Path]:
    """The folders that hold specs of environments: the user's own (ISOBENCH_ENVS), isobench's, the plugins'."""
    return [*paths.envs(), *_brought_envs()]


@cache
def _brought_envs() -> tuple[Path, ...]:
    found = (_folder_beside(plugin.module, "envs") for plugin in announced() if plugin.module not in OWN)
    return tuple(dict.fromkeys(folder for folder in found if folder is not None))


def forget() -> None:
    """Clear the caches, so that newly installed packages are found."""
    for cached in (_announced, loaded, _brought_envs):
        cached.cache_clear()


def worker_file(kind: type, name: str | Path) -> Path | None:
    """The worker script that a class names: in `workers/` of its package, of a parent package, or of a base class's.

    None if there is no such file.
    """
    if Path(name).is_absolute():
        return Path(name) if Path(name).is_file() else None
    for origin in kind.__mro__:
        file = getattr(sys.modules.get(origin.__module__), "__file__", None)
        folder = Path(file).parent if file else None
        while folder is not None and (folder / "__init__.py").exists():
            if (folder / "workers" / name).is_file():
                return (folder / "workers" / name).resolve()
            folder = folder.parent
    return None


def _folder_beside(module: str, name: str) -> Path | None:
    """The folder `name` of the package of a module, or of the nearest parent package that has one."""
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    found: Path | None = None
    places: Sequence[str] | None = None
    qualified = ""
    for part in module.partition(":")[0].split("."):
        qualified = f"{qualified}.{part}" if qualified else part
        try:
            spec = PathFinder.find_spec(qualified, places) if qualified != part else find_spec(part)
        except (ImportError, ValueError):
            spec = None
        places = spec.submodule_search_locations if spec is not None else None
        if not places:
            break
        found = next((Path(place, name) for place in places if Path(place, name).is_dir()), found)
    return found.resolve() if found else None


def _load(plugin: Plugin) -> Plugin:
    import importlib

    module, _, attribute = plugin.module.partition(":")
    try:
        implements = getattr(importlib.import_module(module), attribute or "implements")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code must not stop the others
        import traceback

        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        return replace(plugin, error=f"import failed: {reason}", traceback=traceback.format_exc())
    if not isinstance(implements, Mapping):
        return replace(plugin, error=f"'implements' must be a dict, got {type(implements).__name__}")
    unknown = [str(key) for key in implements if key not in KEYS]
    if unknown:
        return replace(
            plugin, error=f"'implements' has unknown keys: {', '.join(unknown)}; the keys are {', '.join(KEYS)}"
        )
    return replace(plugin, implements=implements)


def _entry_points(file_name: str, metadata: str) -> Iterator[tuple[str, Plugin]]:
    """The entry points in a package's file, with their group."""
    try:
        content = protocol.read_bytes(file_name, most_bytes=_MOST_BYTES).decode(errors="replace")
    except (OSError, ValueError):
        return
    lines = [line.strip() for line in content.split("\n")]
    group = ""
    name, _, version = metadata.rpartition(".")[0].partition("-")
    for line in lines:
        if line.startswith("["):
            group = line
        elif group in {GROUP, EXECUTORS} and "=" in line and not line.startswith(("#", ";")):
            word, _, module = line.partition("=")
            distribution = f"{name.replace('_', '-')} {version}".strip()
            yield group, Plugin(name=word.strip(), module=module.strip(), distribution=distribution)
