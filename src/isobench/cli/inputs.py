"""`isobench inputs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from isobench.cli.parameters import (
    environment_options,
    given_inputs,
    input_options,
    script_options,
    settings_options,
)
from isobench.errors import UsageError


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Save them: FILE.npz or FILE.safetensors."
)
@input_options
@settings_options(only=["seed", "timeout_s"])
@environment_options
@script_options
def inputs(model: str, output: Path | None, script_args: tuple[str, ...], **settings: Any) -> None:
    """Show the inputs that a model is measured with, and save them.

    \b
    isobench inputs model.onnx --dim batch=8          type, shape, rule and range of each input
    isobench inputs model.onnx -o x.npz               save what would be drawn, edit it, then:
    isobench run model.onnx --inputs x.npz            measure with the values of the file
    isobench inputs model.py::HASH -o x.npz           the tensors of a script's own call
    """  # noqa: D301 - click keeps the lines after \b
    from isobench import api
    from isobench.console import Console
    from isobench.reports.inputs import line

    console = Console()
    console.begin(f"inputs of {model}")
    given = given_inputs(settings)
    found = api.inputs(model, script_args=script_args, progress=console, **given, **settings)
    console.clear()
    for one in found:
        click.echo(f"{one.name}::{one.hash}" if one.hash else one.name)
        for values in one.values:
            click.echo(f"  {line(values)}")
    if output is None:
        return
    if len(found) > 1:
        names = ", ".join(f"{model.partition('::')[0]}::{one.hash}" for one in found)
        raise UsageError(f"{model} has several models, and {output} can hold the inputs of one", hint=f"Give {names}.")
    found[0].save(output)
    click.echo(f"saved: {output}")
