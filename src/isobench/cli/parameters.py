"""What several commands take, turned from text into values."""

from __future__ import annotations

import shlex

import click


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
