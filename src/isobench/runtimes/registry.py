"""Which runtimes there are: what installed packages announce through the entry point group `isobench.plugins`.

An entry point names a module that holds a dictionary `implements`:

    implements = {"runtimes": {NAME: {
        "supported_devices": {"x86"},    # families, or family -> part -> [configs]
        "build_required": True,          # does it need the ONNX file? False: the script's module and inputs are enough
        "RuntimeClass": MyRT,            # derives from BaseRT
        "requirement_check": check,      # optional: called before each benchmark, raises where something is missing
        "status_stats": ["my_figure"],   # optional: which of its own stats are shown
    }}}
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from isobench.errors import UsageError

if TYPE_CHECKING:
    from isobench.devices import Device
    from isobench.runtimes.base import BaseRT

GROUP = "[isobench.plugins]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A registered runtime."""

    name: str
    cls: type[BaseRT]
    supported_devices: Collection[str]
    build_required: bool
    requirement_check: Callable[[], None] | None
    status_stats: tuple[str, ...]

    def supports(self, device: Device) -> bool:
        return device.family in self.supported_devices

    def make(self, rt_args: Mapping[str, Any]) -> BaseRT:
        """The runtime with its arguments.

        Raises:
            UsageError: it doesn't take one of them, or lacks one.
        """
        import inspect

        signature = inspect.signature(self.cls)
        try:
            signature.bind(**rt_args)
        except TypeError as error:
            takes = [
                name if parameter.default is parameter.empty else f"{name} (by default {parameter.default!r})"
                for name, parameter in signature.parameters.items()
            ]
            raise UsageError(f"{self.name}: {error}", hint=f"It takes {', '.join(takes) or 'no arguments'}.") from None
        return self.cls(**rt_args)


def get(name: str, device: Device) -> Entry:
    """The runtime of this name, if it runs on `device`.

    Raises:
        UsageError: there is none, or it doesn't.
    """
    known = runtimes()
    if name not in known:
        raise UsageError(f"there is no runtime {name!r}", hint=f"Installed: {', '.join(sorted(known))}.")
    entry = known[name]
    if not entry.supports(device):
        others = sorted(other for other in known if known[other].supports(device))
        raise UsageError(
            f"{name} doesn't run on {device}: it runs on {', '.join(sorted(entry.supported_devices))}",
            hint=f"On {device} there are: {', '.join(others) or 'none'}.",
        )
    return entry


@cache
def runtimes() -> dict[str, Entry]:
    """Every runtime that is installed, by its name."""
    import importlib

    known: dict[str, Entry] = {}
    for module in _plugins():
        implements: dict[str, Any] = importlib.import_module(module).implements
        for name, description in implements.get("runtimes", {}).items():
            if name in known:
                raise UsageError(f"two plugins bring a runtime {name!r}: {known[name].cls.__module__} and {module}")
            known[name] = Entry(
                name=name,
                cls=description["RuntimeClass"],
                supported_devices=frozenset(description["supported_devices"]),
                build_required=bool(description.get("build_required", True)),
                requirement_check=description.get("requirement_check"),
                status_stats=tuple(description.get("status_stats", ())),
            )
    return known


def _plugins() -> list[str]:
    """The modules that the entry points name.

    Read from the installed packages' own files: `importlib.metadata` does the same in forty milliseconds, which is a
    fifth of what a whole benchmark of a small model takes.
    """
    modules: dict[str, None] = {}
    for folder in dict.fromkeys(path for path in sys.path if path):
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info")))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            modules.update(dict.fromkeys(_entry_points(os.path.join(folder, name, "entry_points.txt"))))  # noqa: PTH118
    return list(modules)


def _entry_points(file_name: str) -> list[str]:
    try:
        with open(file_name, encoding="utf-8") as file:  # noqa: PTH123
            lines = [line.strip() for line in file]
    except OSError:
        return []
    if GROUP not in lines:
        return []
    modules = []
    for line in lines[lines.index(GROUP) + 1 :]:
        if line.startswith("["):
            break
        if "=" in line and not line.startswith(("#", ";")):
            modules.append(line.partition("=")[2].strip())
    return modules
