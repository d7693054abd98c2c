"""`isobench env`: create, list, verify and remove the environments that the runtimes run in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isobench import environments
from isobench.cli.env_diff import diff
from isobench.cli.env_make import adopt, create, lock
from isobench.cli.env_names import print_json, ready_one, say
from isobench.cli.parameters import environment_options
from isobench.environments import choice, store
from isobench.errors import ProvisionError

if TYPE_CHECKING:
    from isobench.environments import Environment, Spec

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group()
def env() -> None:
    """Create, list, verify and remove the environments that the runtimes run in.

    NAME is that of an environment ("ort"), or of its folder, as `isobench env list` shows it.
    """


for command in (create, adopt, lock, diff):
    env.add_command(command)


@env.command("list")
@AS_JSON
@environment_options
def list_(as_json: bool) -> None:
    """List the known environments, and those created for scripts or from older locks."""
    rows = _rows()
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        packages = f"{row['packages']} packages" if row["packages"] else ""
        line = f"{row['name']:{width}}  {row['state']:9}  Python {row['python']:7}  {packages:12}  {row['folder']}"
        click.echo(line.rstrip())


@env.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@environment_options
def remove(names: tuple[str, ...]) -> None:
    """Remove environments: every one of a name, or the one in a folder."""
    for name in names:
        gone = environments.remove(name, progress=say)
        for folder in gone:
            click.echo(f"removed {folder}")
        if not gone:
            click.echo(f"{name}: nothing to remove", err=True)


@env.command()
@click.argument("name")
@AS_JSON
@environment_options
def path(name: str, as_json: bool) -> None:
    """Print the folder of an environment; fails if it isn't ready."""
    environment = ready_one(name)
    if as_json:
        print_json(
            {
                "name": environment.name,
                "provider": environment.provider,
                "identity": environment.identity,
                "folder": str(environment.folder),
                "python": str(environment.python),
                "site_packages": str(environment.site_packages),
                "lock_sha256": environment.lock_sha256,
            }
        )
    else:
        click.echo(str(environment.folder))


@env.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@AS_JSON
@environment_options
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Compare every file of environments with what was installed; fails if one differs."""
    found = {name: environments.verify(ready_one(name)) for name in dict.fromkeys(names)}
    if as_json:
        print_json([{"name": name, "ok": not problems, "problems": problems} for name, problems in found.items()])
    else:
        for name, problems in found.items():
            count = f"{len(problems)} difference{'s' if len(problems) > 1 else ''}"
            click.echo(f"{name}: {count if problems else 'unchanged since its installation'}")
            for line in problems:
                click.echo(f"  - {line}")
    broken = [ready_one(name) for name, problems in found.items() if problems]
    if broken:
        raise ProvisionError(
            f"modified since their installation: {', '.join(environment.name for environment in broken)}",
            hint="; ".join(store.remedy(environment) for environment in broken),
        )


def _rows() -> list[dict[str, Any]]:
    """One row for each known environment, ready or not, then one for each other that is on disk."""
    known = [environments.spec(name) for name in environments.names()]
    on_disk = {environment.folder: environment for environment in store.ready()}
    broken = [folder for folder in store.marked() if folder not in on_disk]
    rows = []
    for spec in known:
        ready = choice.ready(spec) if on_disk else ()
        there = [on_disk.pop(one.folder) for one in ready if one.folder in on_disk]
        folders = [store.folder_of(one) for one in choice.installable(spec)]
        rows += [_row(environment, "ready") for environment in there]
        if not there and not any(folder in broken for folder in folders):
            rows.append(_row_of_missing(spec))
    # The others were created for scripts, or from locks that have been replaced since.
    rows += [_row(other, "old lock" if other.name in environments.names() else "ready") for other in on_disk.values()]
    return rows + [_row_of_broken(folder) for folder in broken]


def _row(environment: Environment, state: str) -> dict[str, Any]:
    manifest = environment.manifest()
    return {
        "name": environment.name,
        "state": state,
        "provider": environment.provider,
        "python": manifest.python.version,
        "packages": len(manifest.packages),
        "conda_packages": len(manifest.conda_packages),
        "folder": str(environment.folder),
        "identity": environment.identity,
        "lock_sha256": environment.lock_sha256,
        "created_at": manifest.created_at,
    }


def _row_of_missing(spec: Spec) -> dict[str, Any]:
    chosen = choice.default(spec)
    locked = chosen is not None
    spec = chosen or spec
    return {
        "name": spec.name,
        "state": "not made" if locked else "no lock",
        "provider": spec.provider,
        "python": spec.python,
        "packages": 0,
        "conda_packages": 0,
        "folder": str(store.folder_of(spec)) if locked else "",
        "identity": spec.identity() if locked else None,
        "lock_sha256": spec.lock_sha256 if locked else None,
        "created_at": None,
    }


def _row_of_broken(folder: Path) -> dict[str, Any]:
    """An environment whose manifest can't be read: of another version of isobench, or damaged."""
    name, provider, _ = folder.name.rsplit("-", 2)
    return {
        "name": name,
        "state": "broken",
        "provider": provider,
        "python": "?",
        "packages": 0,
        "conda_packages": 0,
        "folder": str(folder),
        "identity": None,
        "lock_sha256": None,
        "created_at": None,
    }
