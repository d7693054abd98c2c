"""The installed tools and sequences: what plugins provide under `tools` and `sequences` of their `implements`.

implements = {"tools": [MyTool], "sequences": {"mine": Sequence(tools=[Discover(), ExportPytorch(), MyTool()])}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isobench import plugins
from isobench.errors import UsageError
from isobench.tools.base import Tool
from isobench.tools.sequence import Sequence


def tools() -> dict[str, type[Tool]]:
    """Every tool by its name, isobench's own first.

    Raises:
        UsageError: two plugins provide one of the same name.
    """
    known: dict[str, type[Tool]] = {}
    for plugin in plugins.loaded("tools"):
        for tool in read(plugin)[0]:
            if tool.name in known:
                raise _twice("tool", tool.name, known[tool.name].__module__, plugin.module)
            known[tool.name] = tool
    return known


def sequences() -> dict[str, Sequence]:
    """Every named sequence.

    Raises:
        UsageError: two plugins provide one of the same name.
    """
    known: dict[str, Sequence] = {}
    origins: dict[str, str] = {}
    for plugin in plugins.loaded("tools"):
        for name, sequence in read(plugin)[1].items():
            if name in known:
                raise _twice("sequence", name, origins[name], plugin.module)
            known[name], origins[name] = sequence, plugin.module
    return known


def read(plugin: plugins.Plugin) -> tuple[list[type[Tool]], dict[str, Sequence], list[str]]:
    """The tools and sequences of a plugin, and the errors of those that are described wrongly."""
    found: list[type[Tool]] = []
    named: dict[str, Sequence] = {}
    errors = []
    given = plugin.implements.get("tools", ())
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        errors.append(f"'tools' must be a list of classes, got {type(given).__name__}")
        given = ()
    for tool in given:
        if not (isinstance(tool, type) and issubclass(tool, Tool)):
            errors.append(f"'tools' must be classes derived from Tool, got {tool!r}")
        elif getattr(tool, "__abstractmethods__", ()) or not getattr(tool, "name", ""):
            errors.append(f"the tool {tool.__qualname__} has no name, or doesn't implement run()")
        else:
            found.append(tool)
    provided = plugin.implements.get("sequences", {})
    if not isinstance(provided, Mapping):
        errors.append(f"'sequences' must be a dict, got {type(provided).__name__}")
        provided = {}
    for name, sequence in provided.items():
        if isinstance(sequence, Sequence):
            named[str(name)] = sequence
        else:
            errors.append(f"the sequence {name!r} must be a Sequence, got {type(sequence).__name__}")
    return found, named, errors


def _twice(what: str, name: str, first: str, second: str) -> UsageError:
    return UsageError(f"two plugins provide a {what} {name!r}: {first} and {second}", hint="Uninstall one of them.")
