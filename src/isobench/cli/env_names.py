"""Shared by the commands under `isobench env`: finding an environment by its name, and printing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from isobench import environments
from isobench.environments import choice, store
from isobench.errors import ProvisionError, UsageError

if TYPE_CHECKING:
    from isobench.environments import Environment


def say(line: str) -> None:
    """Report progress."""
    click.echo(line, err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    import json

    click.echo(json.dumps(value, indent=1))


def ready_one(name: str) -> Environment:
    """The ready environment of a name, or in the folder of that name."""
    in_folder = store.in_folder(name)
    if in_folder is not None:
        return in_folder
    found = [environment for environment in store.ready() if environment.name == name]
    if name not in environments.names() and len(found) == 1:
        return found[0]
    if name not in environments.names() and found:
        folders = ", ".join(environment.folder.name for environment in found)
        raise UsageError(f"there are {len(found)} environments {name!r}", hint=f"Name one by its folder: {folders}")
    made = choice.provisioned(environments.spec(name))
    if made is None:
        raise ProvisionError(f"the {name} environment does not exist", hint=f"Create it: isobench env create {name}")
    return made
