"""The installed executors of sweeps, by the entry points of group `isobench.executors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isobench import plugins
from isobench.errors import UsageError
from isobench.executors.base import SweepExecutor

MEMBERS = ("detaches", "fixed", "check", "prepare", "run", "pending", "cancel")


def names() -> list[str]:
    """The names that `--executor` takes, isobench's own first."""
    return [one.name for one in plugins.executors()]


def executor_class(name: str) -> type[SweepExecutor]:
    """The executor of that name; nothing else is imported.

    Raises:
        UsageError: there is none, two packages provide it, or it can't be loaded.
    """
    found = [one for one in plugins.executors() if one.name == name]
    if not found:
        from isobench.system.names import did_you_mean

        raise UsageError(
            f"unknown executor {name!r}{did_you_mean(name, names())}", hint=f"Installed: {', '.join(names())}."
        )
    if len(found) > 1:
        origins = " and ".join(one.distribution for one in found)
        raise UsageError(f"two packages provide an executor {name!r}: {origins}", hint="Uninstall one of them.")
    return _loaded(found[0])


def make(name: str, options: Mapping[str, Any]) -> SweepExecutor:
    """The executor of that name with its options.

    Raises:
        UsageError: it is unknown, or an option isn't allowed.
    """
    return executor_class(name)(options)


def _loaded(found: plugins.Plugin) -> type[SweepExecutor]:
    import importlib

    module, _, attribute = found.module.partition(":")
    try:
        kind: Any = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            kind = getattr(kind, part)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything
        import traceback

        raise UsageError(
            f"the executor {found.name!r} of {found.distribution} can't be loaded: {type(error).__name__}: {error}",
            details=traceback.format_exc().rstrip(),
            hint=f"Install what it needs, or use another one: {', '.join(names())}.",
        ) from None
    missing = [member for member in MEMBERS if not hasattr(kind, member)]
    if not isinstance(kind, type) or missing:
        what = f"it has no {', '.join(missing)}" if missing else "it isn't a class"
        raise UsageError(
            f"the executor {found.name!r} of {found.distribution} can't be used: {what}",
            hint=f"{found.module} must be a class with the members of isobench.executors.base.SweepExecutor.",
        )
    made: type[SweepExecutor] = kind
    return made
