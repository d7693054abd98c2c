"""What several commands take, turned from text into values."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., object])


class _ScriptArgs(click.ParamType[tuple[str, ...]]):
    """A script's arguments, quoted as in a shell."""

    name = "ARGS"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def _set_variable(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    """What an option does that is another way to say what a variable says."""

    def callback(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
        if value:
            os.environ[name] = value

    return callback


_PROVIDER = click.option(
    "--provider",
    metavar="NAME",
    expose_value=False,
    callback=_set_variable("ISOBENCH_PROVIDER"),
    help="What lays environments down: auto, conda, venv, container, adopted.  [ISOBENCH_PROVIDER; default: auto]",
)
_ENVS_DIR = click.option(
    "--envs-dir",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    expose_value=False,
    callback=_set_variable("ISOBENCH_ENVS"),
    help="Specs of your own, which go before isobench's: DIR/NAME/environment.yml.  [ISOBENCH_ENVS]",
)


def environment_options(command: _Command) -> _Command:
    """Options of every command that works with environments."""
    return _PROVIDER(_ENVS_DIR(command))


SCRIPT_ARGS = click.option(
    "--script-args",
    type=_ScriptArgs(),
    default=(),
    metavar="ARGS",
    help='Handed to the script: --script-args="--batch_size=8".',
)


class _Share(click.ParamType[float]):
    """A share, as people write it: 1%, 0.5%."""

    name = "PERCENT"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            share = float(value.removesuffix("%")) / 100
        except ValueError:
            share = -1.0
        if not (value.endswith("%") and 0 < share < 1):
            self.fail(f"{value!r} is no share: write it like 1% or 0.5%", param, ctx)
        return share


SHARE = _Share()


class _Numbers(click.ParamType[tuple[int, ...]]):
    """Numbers in the kernel's notation: 0-3,8."""

    name = "LIST"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        from isobench.workers import machine

        if isinstance(value, tuple):
            return value
        try:
            numbers = machine.parse_cpu_list(value)
        except ValueError:
            numbers = ()
        if not numbers:
            self.fail(f"{value!r} is no list of numbers: write it like 0-3,8", param, ctx)
        return numbers


def control(command: _Command) -> _Command:
    """The options by which all runtimes get the same share of the machine."""
    for option in reversed(
        [
            click.option("--threads", type=int, help="Threads of each runtime.  [default: the physical cores at hand]"),
            click.option("--cpus", type=_Numbers(), default=(), help="CPUs of each worker, like 0-3,8."),
            click.option("--nice", type=int, default=0, help="Priority of each worker, from -20 (first) to 19 (last)."),
            click.option("--memory-nodes", type=_Numbers(), default=(), help="NUMA nodes that memory is taken from."),
            click.option("--wait/--no-wait", default=True, help="Wait for a device that is in use.  [default: wait]"),
        ]
    ):
        command = option(command)
    return command
