"""`isobench discover`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from isobench.cli.parameters import environment_options, script_options, settings_options

if TYPE_CHECKING:
    from isobench.builds.discovered import DiscoveredModel


@click.command()
@click.argument("script", metavar="SCRIPT")
@environment_options
@script_options
@settings_options(only=["max_depth", "timeout_s", "seed"])
@click.option("--json", "as_json", is_flag=True, help="Print the models as JSON.")
def discover(script: str, script_args: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """List the models that a script calls.

    The script runs in its own environment. Give a model's hash to measure only that one: isobench run SCRIPT::HASH
    """
    from isobench import api
    from isobench.console import Console

    console = Console()
    console.begin(f"running {script}")
    models = api.discover(script, script_args=script_args, progress=console, **settings)
    console.clear()
    if as_json:
        import json

        click.echo(json.dumps([model.to_json() for model in models], indent=1))
        return
    for model in models:
        click.echo(_description(model))


def _description(model: DiscoveredModel) -> str:
    from isobench.reports.format import count

    margin = "  " * model.depth
    times = f"called {model.invocations} time{'s' if model.invocations != 1 else ''}"
    if model.instances > 1:
        times += f" in {model.instances} instances"
    no_model = not model.depth and not model.is_case
    note = "  (no parameters: measured only if you give its hash)" if no_model else ""
    lines = [
        f"{model.hash}  {model.name}  {count(model.parameters)} parameters{note}",
        f"  class    {model.class_name}, created at {model.instantiated_at}",
        f"  inputs   {model.signature}",
        f"  {times}",
    ]
    return "\n".join(margin + line for line in lines)
