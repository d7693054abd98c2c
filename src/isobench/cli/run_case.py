"""`isobench run-case`, which batch jobs call: one task of a sweep, on the node that the job runs on."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("key", default="")
@click.option("--attempt", type=click.IntRange(min=1), default=1, help="Which attempt at the task this is.")
@click.option("--settled", type=click.IntRange(min=0), default=0, help="Results of later attempts count as done.")
@click.option("--plan", default="", metavar="SHA256", help="The hash of the sweep.json that was submitted.")
@click.option("--prepare", is_flag=True, help="Make environments and builds, and measure nothing.")
def run_case(folder: Path, key: str, attempt: int, settled: int, plan: str, prepare: bool) -> int:
    """Measure the task KEY of the sweep in FOLDER. Exit code 0: its Results are saved, failed ones, too."""
    from isobench.console import Console
    from isobench.executors.slurm import node
    from isobench.failures import Ending, exit_code

    console = Console()
    if prepare:
        node.prepare(folder.absolute(), plan=plan, progress=console)
        return 0
    if not key:
        raise click.UsageError("Missing argument 'KEY'.")
    unsaved = 0
    for saved in node.measure(folder.absolute(), key, attempt=attempt, settled=settled, plan=plan, progress=console):
        unsaved += saved.folder is None
        click.echo(saved.name)
    return exit_code(Ending.RESULT) if unsaved else 0
