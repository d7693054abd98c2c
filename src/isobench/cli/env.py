"""`isobench env`: make, look at and remove the environments that the runtimes work in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isobench import environments
from isobench.environments import store
from isobench.errors import IsobenchError, ProvisionError, UsageError

if TYPE_CHECKING:
    from isobench.environments import Environment, Spec

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group()
def env() -> None:
    """Make, look at and remove the environments that the runtimes work in.

    A name is that of an environment ("ort"), or of the folder of one, as `isobench env list` shows it.
    """


@env.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List the environments: those that isobench knows, and those made for scripts or from older locks."""
    rows = _rows()
    if as_json:
        _print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        packages = f"{row['packages']} packages" if row["packages"] else ""
        click.echo(f"{row['name']:{width}}  {row['state']:9}  Python {row['python']:7}  {packages:12}  {row['folder']}")


@env.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--all", "everything", is_flag=True, help="Every environment that isobench knows.")
def create(names: tuple[str, ...], everything: bool) -> None:
    """Make environments from their locks; those that are ready are left alone."""
    if bool(names) == everything:
        raise UsageError("name the environments to make, or give --all", hint="isobench env create --all")
    wanted = [environments.spec(name) for name in (environments.names() if everything else dict.fromkeys(names))]
    missing = [spec for spec in wanted if environments.find(spec) is None]
    _create_side_by_side(missing)
    for spec in wanted:
        click.echo(f"{spec.name}: {store.folder_of(spec)}")


@env.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Remove environments: every one that bears a name, or the one in a folder."""
    for name in names:
        gone = environments.remove(name, progress=_say)
        for folder in gone:
            click.echo(f"removed {folder}")
        if not gone:
            click.echo(f"{name} isn't there: nothing to remove", err=True)


@env.command()
@click.argument("name")
@AS_JSON
def path(name: str, as_json: bool) -> None:
    """Print the folder of an environment; fails where it isn't ready."""
    environment = _ready(name)
    if as_json:
        _print_json(
            {
                "name": environment.name, "provider": environment.provider, "identity": environment.identity,
                "folder": str(environment.folder), "python": str(environment.python),
                "site_packages": str(environment.site_packages), "lock_sha256": environment.lock_sha256,
            }
        )  # fmt: skip
    else:
        click.echo(str(environment.folder))


@env.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@AS_JSON
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Compare every file of environments with what was laid down; fails where one differs."""
    found = {name: environments.verify(_ready(name)) for name in dict.fromkeys(names)}
    if as_json:
        _print_json([{"name": name, "ok": not problems, "problems": problems} for name, problems in found.items()])
    else:
        for name, problems in found.items():
            count = f"{len(problems)} difference{'s' if len(problems) > 1 else ''}"
            click.echo(f"{name}: {count if problems else 'as it was laid down'}")
            for line in problems:
                click.echo(f"  - {line}")
    broken = [_ready(name) for name, problems in found.items() if problems]
    if broken:
        raise ProvisionError(
            f"no longer what the lock says: {', '.join(environment.name for environment in broken)}",
            hint="; ".join(store.remedy(environment) for environment in broken),
        )


@env.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--check", is_flag=True, help="Write nothing; fail if other versions would come out of it.")
@click.option("--upgrade", is_flag=True, help="Take the newest versions, not those that are locked.")
def lock(names: tuple[str, ...], check: bool, upgrade: bool) -> None:
    """Resolve requirements.in anew and write the lock, with a hash for every file (for those who maintain isobench)."""
    stale = []
    for name in dict.fromkeys(names):
        changed = environments.lock(name, check=check, upgrade=upgrade, progress=_say)
        click.echo(f"{name}: {'other versions' if changed else 'the same versions'}")
        stale += [name] if changed else []
    if check and stale:
        raise ProvisionError(
            f"the lock isn't what its requirements resolve to: {', '.join(stale)}",
            hint=f"isobench env lock {' '.join(stale)}",
        )


def _say(line: str) -> None:
    click.echo(line, err=True)


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=1))


def _rows() -> list[dict[str, Any]]:
    """One row for each known environment, ready or not, then one for each other that is on disk."""
    known = [environments.spec(name) for name in environments.names()]
    on_disk = {environment.folder: environment for environment in store.ready()}
    broken = [folder for folder in store.marked() if folder not in on_disk]
    rows = []
    for spec in known:
        folder = store.folder_of(spec)
        environment = on_disk.pop(folder, None)
        if environment:
            rows.append(_row(environment, "ready"))
        elif folder not in broken:
            rows.append(_row_of_missing(spec))
    # What is left was made for scripts, or from locks that were replaced since.
    rows += [_row(other, "old lock" if other.name in environments.names() else "ready") for other in on_disk.values()]
    return rows + [_row_of_broken(folder) for folder in broken]


def _row(environment: Environment, state: str) -> dict[str, Any]:
    manifest = environment.manifest()
    return {
        "name": environment.name, "state": state, "provider": environment.provider,
        "python": manifest["python"]["version"], "packages": len(manifest["packages"]),
        "folder": str(environment.folder), "identity": environment.identity,
        "lock_sha256": environment.lock_sha256, "created_at": manifest["created_at"],
    }  # fmt: skip


def _row_of_missing(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name, "state": "not made", "provider": spec.provider, "python": spec.python, "packages": 0,
        "folder": str(store.folder_of(spec)), "identity": spec.identity(), "lock_sha256": spec.lock_sha256,
        "created_at": None,
    }  # fmt: skip


def _row_of_broken(folder: Path) -> dict[str, Any]:
    """An environment whose manifest can't be understood: of another version of isobench, or damaged."""
    name, provider, _ = folder.name.rsplit("-", 2)
    return {
        "name": name, "state": "broken", "provider": provider, "python": "?", "packages": 0, "folder": str(folder),
        "identity": None, "lock_sha256": None, "created_at": None,
    }  # fmt: skip


def _ready(name: str) -> Environment:
    """The ready environment of a name, or in the folder of that name."""
    for environment in store.ready():
        if environment.folder.name == name:
            return environment
    found = [environment for environment in store.ready() if environment.name == name]
    if name not in environments.names() and len(found) == 1:
        return found[0]
    if name not in environments.names() and found:
        folders = ", ".join(environment.folder.name for environment in found)
        raise UsageError(f"there are {len(found)} environments {name!r}", hint=f"name one by its folder: {folders}")
    made = environments.find(environments.spec(name))
    if made is None:
        raise ProvisionError(f"the {name} environment isn't there", hint=f"isobench env create {name}")
    return made


def _create_side_by_side(specs: list[Spec]) -> None:
    """Make several environments at once: one downloads while another compiles.

    The threads are daemons, so Ctrl-C ends the program at once, and the kernel ends uv with it (see `process`).
    """
    import threading

    failures: list[IsobenchError] = []
    surprises: list[Exception] = []

    def work(spec: Spec) -> None:
        try:
            environments.create(spec, progress=_say)
        except IsobenchError as error:
            failures.append(error)
        except Exception as error:  # noqa: BLE001 - it's raised again, in the thread that can tell of it
            surprises.append(error)

    threads = [threading.Thread(target=work, args=(spec,), daemon=True) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if surprises:
        raise surprises[0]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ProvisionError(
            "; ".join(failure.message for failure in failures),
            details="\n".join(failure.details for failure in failures),
            hint="; ".join(dict.fromkeys(failure.hint for failure in failures if failure.hint)),
        )
