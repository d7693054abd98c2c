"""`isobench plugins` and `isobench plugin new`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def plugins(as_json: bool) -> None:
    """List the installed plugins, what each provides, and why one can't be loaded."""
    from isobench import plugins as found

    described = [*map(_described, found.loaded()), *map(_described_executor, found.executors())]
    if as_json:
        import json

        click.echo(json.dumps(described, indent=1))
        return
    for one in described:
        click.echo(f"{one['name']}  ({one['distribution']}, {one['module']})")
        for what in ("runtimes", "tools", "sequences", "executors"):
            if one[what]:
                click.echo(f"  {what:9}  {', '.join(one[what])}")
        for error in one["errors"]:
            click.echo(f"  broken     {error}")
        for line in one["traceback"].splitlines():
            click.echo(f"      {line}")


def _described(plugin: Any) -> dict[str, Any]:
    from isobench.runtimes import registry
    from isobench.tools import registry as tools

    entries, errors = registry.read(plugin)
    found, named, further = tools.read(plugin)
    errors += further
    usable = registry.runtimes()
    errors += [
        f"the runtime {entry.name!r}: another plugin provides one of that name"
        for entry in entries
        if entry.name not in usable
    ]
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "module": plugin.module,
        "runtimes": [f"{entry.name} ({', '.join(entry.devices)})" for entry in entries],
        "tools": [tool.name for tool in found],
        "sequences": list(named),
        "executors": [],
        "errors": [*([plugin.error] if plugin.error else []), *errors],
        "traceback": plugin.traceback,
    }


def _described_executor(announced: Any) -> dict[str, Any]:
    from isobench.errors import UsageError
    from isobench.executors import registry

    described: dict[str, Any] = {name: getattr(announced, name) for name in ("name", "distribution", "module")}
    described |= {name: [] for name in ("runtimes", "tools", "sequences", "executors", "errors")}
    described["traceback"] = ""
    try:
        registry.executor_class(announced.name)
    except UsageError as error:
        return described | {"errors": [error.message], "traceback": error.details}
    return described | {"executors": [announced.name]}


@click.group()
def plugin() -> None:
    """Write a plugin: a package of your own that provides runtimes, tools or sequences."""


@plugin.command()
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write it.  [default: ./NAME]")
def new(name: str, folder: Path | None) -> None:
    """Write a package with a working runtime NAME: its environment, its worker and a test.

    docs/plugins.md explains what to change in it.
    """
    from isobench.errors import UsageError
    from isobench.plugins import template
    from isobench.runtimes import registry

    if name in registry.runtimes():
        raise UsageError(
            f"there is a runtime {name!r} already", hint="Choose another name; list them: isobench plugins"
        )
    where = folder or Path(name)
    for file in template.write(name, where):
        click.echo(f"wrote {file}")
    click.echo(f"\nNext: pip install --editable {where} pytest && python -m pytest {where}")
