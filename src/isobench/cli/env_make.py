"""`isobench env create`, `adopt` and `lock`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from isobench import environments
from isobench.cli.env_names import say
from isobench.cli.parameters import environment_options
from isobench.environments import choice, specs
from isobench.errors import IsobenchError, ProvisionError, UsageError

if TYPE_CHECKING:
    from isobench.environments import Environment, Spec

_FILES = click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER/environment.yml",
    help="An environment of your own, in any folder; can be repeated.",
)


@click.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--all", "everything", is_flag=True, help="Every environment that is locked and usable on this machine.")
@_FILES
@environment_options
def create(names: tuple[str, ...], everything: bool, files: tuple[Path, ...]) -> None:
    """Create environments from their locks; those that are ready are skipped."""
    if bool(names or files) == everything:
        raise UsageError("give either names of environments or --all", hint="Create all: isobench env create --all")
    wanted = _specs(tuple(environments.names()) if everything else names, files)
    if everything:
        wanted = [spec for spec in wanted if _usable(spec)]
    chosen = [environments.choose(spec, note=say) for spec in wanted]
    made = _create_side_by_side(chosen)
    for spec in chosen:
        click.echo(f"{spec.name}: {made[spec].folder}")


@click.command()
@click.argument("name")
@click.argument("prefix_or_python", type=click.Path(path_type=Path))
@environment_options
def adopt(name: str, prefix_or_python: Path) -> None:
    """Use an existing interpreter as it is: a conda environment, a virtual one, a site's own.

    What is installed in it is recorded and compared before each measurement; results state that it wasn't installed
    from a lock. Nothing in it is changed. Use it with --provider adopted.
    """
    from isobench.environments import adopted

    environment = adopted.adopt(environments.spec(name), prefix_or_python, progress=say)
    click.echo(f"{name}: {environment.folder}")


@click.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@_FILES
@click.option(
    "--platform", "platforms", multiple=True, help="A platform to lock the conda packages for; can be repeated."
)
@click.option("--update", multiple=True, metavar="PACKAGE", help="Update it to its newest version; can be repeated.")
@click.option("--check", is_flag=True, help="Write nothing; fail if the locks are out of date.")
@click.option("--upgrade", is_flag=True, help="Update everything to the newest versions.")
@environment_options
def lock(
    names: tuple[str, ...],
    files: tuple[Path, ...],
    platforms: tuple[str, ...],
    update: tuple[str, ...],
    check: bool,
    upgrade: bool,
) -> None:
    """Resolve environment.yml and requirements.in and write the locks, with a hash for every file.

    Locked versions stay as long as they satisfy the requirements.
    """
    if not (names or files):
        raise UsageError("no environment to lock was named", hint="Name one: isobench env lock NAME")
    stale = []
    for spec in _specs(names, files):
        changes = environments.lock(
            spec, platforms=platforms, update=update, check=check, upgrade=upgrade, progress=say
        )
        for line in changes:
            click.echo(f"{spec.name}: {line}")
        if not changes:
            click.echo(f"{spec.name}: no changes")
        stale += [spec] if changes else []
    if check and stale:
        raise ProvisionError(
            f"the lock is out of date: {', '.join(spec.name for spec in stale)}",
            hint=f"Update it: {' && '.join(spec.relock for spec in stale)}",
        )


def _usable(spec: Spec) -> bool:
    """Whether it is locked, and the device that it needs is present; if not, that is reported."""
    from isobench.system import devices, nvidia

    if spec.device == devices.NVIDIA and not nvidia.present():
        say(f"{spec.name}: skipped: no NVIDIA GPU found")
        return False
    if not choice.installable(spec):
        say(f"{spec.name}: skipped: not locked yet ({spec.relock})")
        return False
    return True


def _specs(names: tuple[str, ...], files: tuple[Path, ...]) -> list[Spec]:
    return [*map(environments.spec, dict.fromkeys(names)), *map(specs.of_file, dict.fromkeys(files))]


def _create_side_by_side(specs: list[Spec]) -> dict[Spec, Environment]:
    """Create several environments in parallel: one downloads while another compiles.

    The threads are daemons, so Ctrl-C ends the program at once, and the kernel kills uv with it (see `process`).
    """
    import threading

    made: dict[Spec, Environment] = {}
    failures: list[IsobenchError] = []
    surprises: list[Exception] = []

    def work(spec: Spec) -> None:
        try:
            made[spec] = environments.create(spec, progress=say)
        except IsobenchError as error:
            failures.append(error)
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
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
    return made
