"""`isobench calibrate`."""

from __future__ import annotations

from typing import Any

import click

from isobench.cli.parameters import environment_options, script_options, settings_options, wait_options
from isobench.cli.words import DEVICE
from isobench.planning.settings import CALIBRATE_DEFAULTS


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "-r",
    "--runtime",
    default="",
    metavar="NAME[@ENV][:ARG=VALUE,...]",
    help="The runtime to measure on.  [default: the device's first]",
)
@DEVICE
@click.option(
    "--runs", type=click.IntRange(3), metavar="N", default=12, show_default=True, help="Runs, one after the other."
)
@click.option(
    "--pairs", type=click.IntRange(3), metavar="N", default=8, show_default=True, help="Interleaved pairs of runs."
)
@settings_options(but=["iterations", "processes", "precision"], defaults=CALIBRATE_DEFAULTS)
@wait_options
@environment_options
@script_options
def calibrate(
    model: str,
    runtime: str,
    device: str,
    runs: int,
    pairs: int,
    wait: bool | float,
    script_args: tuple[str, ...],
    **settings: Any,
) -> None:
    """Measure how far identical runs differ on this machine.

    MODEL is measured against itself. The difference that remains is the noise floor of this machine: intervals include
    it, and `isobench compare` reports no difference below it. Use a model like those that you measure, and a machine
    in the same state.
    """
    from isobench import api, paths
    from isobench.console import Console
    from isobench.measuring import calibration
    from isobench.reports.format import percent

    console = Console()
    plan = api.plan(
        [model],
        runtimes=[runtime] if runtime else (),
        device=device,
        wait=wait,
        script_args=script_args,
        **settings,
    )
    found, quiet = calibration.calibrate(plan, lambda each: api.measure(each, console), runs=runs, pairs=pairs)
    console.clear()
    click.echo(f"identical runs differ by {percent(found.runs)} (standard deviation of {runs} medians)")
    click.echo(f"identical interleaved pairs differ by {percent(found.pairs)} ({pairs} pairs)")
    click.echo(f"saved for this machine in {paths.calibration()}")
    if not quiet:
        click.echo("warning: other processes used the machine; calibrate again when it is as quiet as when you measure")
