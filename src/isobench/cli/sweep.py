"""`isobench sweep`: measure a suite, and go on with a sweep that was started. `sweep_watch` has the other commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isobench.cli import sweep_watch
from isobench.cli.parameters import environment_options, wait_options
from isobench.cli.sweep_run import carry_out
from isobench.errors import UsageError

if TYPE_CHECKING:
    from isobench.sweeps.task import Sweep

START = "start"
RETRY = click.Choice(["none", "infrastructure", "failed", "all"])


class _Suites(click.Group):
    """A group whose first word may also be a suite file, or an option: then it starts a sweep."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [START, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, START if cmd_name.endswith(".toml") else cmd_name)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] SUITE.toml")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS] [FOLDER]", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [one for one in self.commands[START].get_params(ctx) if isinstance(one, click.Option)]
        records = [one.get_help_record(ctx) for one in options]
        with formatter.section("Commands, for a sweep that was started"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(limit=100))
                    for name, command in self.commands.items()
                    if not command.hidden
                ]
            )
        with formatter.section("Options of SUITE.toml"):
            formatter.write_dl([one for one in records if one])


@click.group(cls=_Suites)
def sweep() -> None:
    """Measure everything that a suite asks for.

    \b
    isobench sweep suite.toml --dry-run     what would be measured, and how long it would take
    isobench sweep suite.toml               measure it; each result is saved at once
    isobench sweep status                   what is done, failed and left
    isobench sweep resume                   measure what is left, after Ctrl-C, a crash or a power cut
    isobench sweep retry                    measure again what failed

    FOLDER is a sweep's folder, its name, or the beginning of it.  [default: the newest sweep]
    """  # noqa: D301 - \b makes click keep the lines


def _pairs(_context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"{option.opts[0]} must be KEY=VALUE, got {text!r}")
        options[name.strip().replace("-", "_")] = value if equals else True
    return options


_SLURM = click.option(
    "--slurm",
    "slurm_options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help="An option of Slurm, such as partition=gpu; goes over those of the suite. Can be repeated.",
)
_EXECUTOR_OPTION = click.option(
    "--executor-option",
    "executor_options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help="The same for any executor. Can be repeated.",
)


@sweep.command(START, hidden=True)
@click.argument("suite", type=click.Path(path_type=Path), metavar="SUITE.toml", required=False)
@click.option("--dry-run", is_flag=True, help="Print the cases and how long they will take, and stop.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="The sweep's folder.  [default: $ISOBENCH_HOME/sweeps/NAME-TIME]",
)
@click.option("--name", default="", metavar="NAME", help="The sweep's name.  [default: the suite's]")
@click.option(
    "--executor", metavar="NAME", help="Where to measure: local, slurm, or a plugin's.  [default: the suite's]"
)
@_SLURM
@_EXECUTOR_OPTION
@click.option(
    "--attempts",
    type=int,
    metavar="N",
    help="Try a case that often whose node or process is lost.  [default: the suite's, or 2]",
)
@wait_options
@click.option("--json", "as_json", is_flag=True, help="Print the cases or, at the end, the outcome as JSON.")
@click.option("--print-schema", is_flag=True, help="Print the JSON Schema of suite files, for editors, and stop.")
@environment_options
def start(
    suite: Path | None,
    dry_run: bool,
    output: Path | None,
    name: str,
    executor: str | None,
    slurm_options: dict[str, Any],
    executor_options: dict[str, Any],
    attempts: int | None,
    wait: bool | float,
    as_json: bool,
    print_schema: bool,
) -> int:
    """Measure everything that SUITE.toml asks for."""
    if print_schema:
        from isobench import paths

        click.echo((paths.PACKAGE / "planning" / "suite.schema.json").read_text(encoding="utf-8"), nl=False)
        return 0
    if suite is None:
        raise UsageError("no suite was given", hint="isobench sweep SUITE.toml; isobench sweep -h lists the commands.")
    if attempts is not None and attempts < 1:
        raise UsageError(f"--attempts must be at least 1, got {attempts}")
    if name.startswith(".") or "/" in name:
        raise UsageError(f"--name must be the name of a folder, got {name!r}", hint="For a place of its own: --output")
    if slurm_options and executor is None:
        executor = "slurm"
    planned = _planned(suite, name, executor, slurm_options | executor_options, attempts, wait=wait)
    if dry_run:
        from isobench.cli import sweep_dry_run

        sweep_dry_run.show(planned, as_json=as_json)
        return 0
    from isobench.executors import registry

    registry.make(planned.executor, planned.options).check()
    _note_unfinished(planned)
    from isobench import paths
    from isobench.reports import plans
    from isobench.sweeps import finding
    from isobench.sweeps.folder import SweepFolder

    folder = SweepFolder.create(planned, output.absolute() if output else paths.sweeps() / planned.name)
    click.echo(f"sweep {finding.reference(folder)}: {plans.heading(planned)}", err=True)
    return carry_out(folder, as_json=as_json)


@sweep.command()
@sweep_watch.FOLDER
@click.option("--retry", type=RETRY, default="none", show_default=True, help="Measure these again, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@_SLURM
@_EXECUTOR_OPTION
def resume(
    name: str | None, retry: str, as_json: bool, slurm_options: dict[str, Any], executor_options: dict[str, Any]
) -> int:
    """Measure what is left of a sweep.

    FOLDER is a sweep's folder, its name, or the beginning of it.  [default: the newest sweep]

    A case is done when it has a whole result in the sweep's folder, measured or failed.
    """
    options = slurm_options | executor_options
    return carry_out(sweep_watch.chosen(name), retry=retry, options=options, as_json=as_json)


@sweep.command("retry")
@sweep_watch.FOLDER
@click.option(
    "--retry",
    type=RETRY,
    default="failed",
    show_default=True,
    help="infrastructure: what failed because of the machine or the network; failed: all that failed; all: everything.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@_SLURM
@_EXECUTOR_OPTION
def retry_(
    name: str | None, retry: str, as_json: bool, slurm_options: dict[str, Any], executor_options: dict[str, Any]
) -> int:
    """Measure again what failed, and what is left.

    FOLDER is a sweep's folder, its name, or the beginning of it.  [default: the newest sweep]
    """
    options = slurm_options | executor_options
    return carry_out(sweep_watch.chosen(name), retry=retry, options=options, as_json=as_json)


for command in (sweep_watch.status, sweep_watch.cancel):
    sweep.add_command(command)


@sweep.command()
@sweep_watch.FOLDER
def attach(name: str | None) -> int:
    """Follow a sweep that runs on a cluster.

    FOLDER is a sweep's folder, its name, or the beginning of it.  [default: the newest sweep]
    """
    from isobench.system import locks

    folder = sweep_watch.chosen(name)
    if not sweep_watch.executor_of(folder).detaches:
        holder = locks.holder(folder.lock_file)
        if holder is None:
            raise UsageError(f"no process works on {folder.path.name}", hint=sweep_watch.to_resume(folder))
        raise UsageError(
            f"only the process that runs {folder.path.name} shows its progress: {holder.in_words}",
            hint=f"How far it is: isobench sweep status {sweep_watch.reference(folder)}",
        )
    return carry_out(folder)


def _planned(
    suite: Path, name: str, executor: str | None, options: dict[str, Any], attempts: int | None, *, wait: bool | float
) -> Sweep:
    from isobench.planning import suite_file
    from isobench.preflight import sweep as preflight
    from isobench.system import reading

    if suite.suffix != ".toml" and not reading.exists(suite):
        from isobench.system.names import did_you_mean

        close = did_you_mean(str(suite), sweep.commands)
        raise UsageError(f"{suite} is neither a suite file nor a command{close}", hint="isobench sweep -h")
    planned = preflight.sweep(
        suite_file.load(suite),
        name=name,
        executor=executor,
        options=options,
        attempts=attempts,
        note=lambda text: click.echo(f"note: {text}", err=True),
    )
    return planned if wait is True else _waiting(planned, wait)


def _waiting(planned: Sweep, wait: bool | float) -> Sweep:
    """The sweep with another time to wait for devices."""
    from dataclasses import replace

    from isobench.planning.plan import seconds_to_wait
    from isobench.sweeps.task import keyed

    wait_s = seconds_to_wait(wait)
    tasks = (keyed(replace(task, plan=replace(task.plan, wait_s=wait_s))) for task in planned.tasks)
    return replace(planned, tasks=tuple(tasks))


def _note_unfinished(planned: Sweep) -> None:
    """A sweep of the same suite may be meant: what goes on with it is printed."""
    from isobench.sweeps import finding
    from isobench.system import locks

    earlier = finding.unfinished(planned.suite_sha256)
    if earlier is None:
        return
    name, holder = finding.reference(earlier), locks.holder(earlier.lock_file)
    what = (
        f"is at work ({holder.in_words}): isobench sweep status {name}"
        if holder
        else (f"isn't finished; to go on with it: isobench sweep resume {name}")
    )
    click.echo(f"note: {earlier.path.name} of the same suite {what}", err=True)
