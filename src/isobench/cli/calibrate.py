"""`isobench calibrate`."""

from __future__ import annotations

import click

from isobench.cli.parameters import SCRIPT_ARGS, control, environment_options
from isobench.cli.words import DEVICE


@click.command()
@click.argument("model", metavar="MODEL")
@click.option("-r", "--runtime", default="", metavar="NAME", help="On which runtime.  [default: the device's first]")
@DEVICE
@click.option("--runs", type=click.IntRange(3), default=12, show_default=True, help="Processes, one after the other.")
@click.option("--pairs", type=click.IntRange(3), default=8, show_default=True, help="Pairs that take turns.")
@click.option("--min-time", "min_time_s", type=float, default=1.0, show_default=True, help="Clean seconds of each.")
@control
@environment_options
@SCRIPT_ARGS
def calibrate(
    model: str,
    runtime: str,
    device: str,
    runs: int,
    pairs: int,
    min_time_s: float,
    threads: int | None,
    cpus: tuple[int, ...],
    nice: int,
    memory_nodes: tuple[int, ...],
    wait: bool,
    script_args: tuple[str, ...],
) -> None:
    """Measure how far identical runs differ on this machine.

    MODEL is measured against itself, and what differs nonetheless is this machine's noise floor: intervals take it in,
    and `isobench compare` claims no difference below it. Take a model like those that you measure, and a machine in
    the state in which you measure.
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
        min_time_s=min_time_s,
        threads=threads,
        cpus=cpus,
        nice=nice,
        memory_nodes=memory_nodes,
        wait=wait,
        script_args=script_args,
    )
    found, quiet = calibration.calibrate(plan, lambda each: api.measure(each, console), runs=runs, pairs=pairs)
    console.clear()
    click.echo(f"identical runs differ by {percent(found.runs)} (standard deviation of {runs} medians)")
    click.echo(f"identical pairs that take turns differ by {percent(found.pairs)} ({pairs} pairs)")
    click.echo(f"kept for this machine in {paths.calibration()}")
    if not quiet:
        click.echo("others used the machine meanwhile: calibrate again when it is as quiet as when you measure")
