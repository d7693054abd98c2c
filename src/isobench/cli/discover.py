"""`isobench discover`."""

from __future__ import annotations

from typing import Any

import click

from isobench.cli.parameters import SCRIPT_ARGS, environment_options, settings_options


@click.command()
@click.argument("script", metavar="SCRIPT")
@environment_options
@SCRIPT_ARGS
@settings_options(only=["max_depth", "timeout_s", "seed"])
@click.option("--json", "as_json", is_flag=True, help="Print the models as JSON.")
def discover(script: str, script_args: tuple[str, ...], as_json: bool, **settings: Any) -> None:
    """List the models that a script calls.

    The script runs in its own environment. What is listed by its hash can be measured by it: isobench run
    SCRIPT::HASH
    """
    from isobench import api
    from isobench.console import Console

    console = Console()
    console.begin(f"running {script}")
    models = api.discover(script, script_args=script_args, progress=console, **settings)
    console.clear()
    if as_json:
        import json

        click.echo(json.dumps(models, indent=1))
        return
    for entry in models:
        click.echo(_description(entry))


def _description(entry: dict[str, Any]) -> str:
    from isobench.reports.format import count

    margin = "  " * entry["depth"]
    times = f"called {entry['invocations']} time{'s' if entry['invocations'] != 1 else ''}"
    if entry["instances"] > 1:
        times += f" in {entry['instances']} instances"
    no_model = not entry["depth"] and not entry["is_case"]
    note = "  (a part without weights: measured only by its hash)" if no_model else ""
    lines = [
        f"{entry['hash']}  {entry['name']}  {count(entry['parameters'])} parameters{note}",
        f"  class    {entry['class']}, made at {entry['instantiated_at']}",
        f"  inputs   {entry['signature']}",
        f"  {times}",
    ]
    return "\n".join(margin + line for line in lines)
