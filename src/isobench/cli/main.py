"""The `isobench` command, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from isobench import interrupts, streams
from isobench.errors import IsobenchError, ResultError, unexpected
from isobench.version import VERSION

COMMANDS = {
    "run": "isobench.cli.run:run",
    "benchmark": "isobench.cli.benchmark:benchmark",
    "cache": "isobench.cli.cache:cache",
    "calibrate": "isobench.cli.calibrate:calibrate",
    "compare": "isobench.cli.compare:compare",
    "discover": "isobench.cli.discover:discover",
    "doctor": "isobench.cli.doctor:doctor",
    "env": "isobench.cli.env:env",
    "inputs": "isobench.cli.inputs:inputs",
    "list": "isobench.cli.results:list_",
    "plugin": "isobench.cli.plugins:plugin",
    "plugins": "isobench.cli.plugins:plugins",
    "sequence": "isobench.cli.sequence:sequence",
    "remove": "isobench.cli.results:remove",
    "report": "isobench.cli.report:report",
    "run-case": "isobench.cli.run_case:run_case",
    "show": "isobench.cli.results:show",
    "sweep": "isobench.cli.sweep:sweep",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="isobench")
def cli() -> None:
    """Benchmark ML models, each runtime in a locked environment of its own.

    \b
    isobench run -r ort -r torch-eager model.py    measure a script's models on two runtimes
    isobench run model.onnx --dim batch=8          measure an ONNX file on the default runtime, ort
    isobench sweep suite.toml                      measure everything that a suite asks for; resume, retry
    isobench compare a.py b.py                     is the second faster?
    isobench discover model.py                     list the models that a script calls
    isobench inputs model.onnx -o x.npz            save the inputs that it is measured with
    isobench env list                              list the environments
    isobench list, isobench show ID                list results, show one
    isobench report --csv                          write all results as one table
    """  # noqa: D301 - \b makes click keep the lines


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    code = _code()
    unwritten = streams.problem()
    if unwritten is not None:
        error = ResultError(
            f"the output can't be written: {unwritten.strerror}",
            hint="Free some disk space, or write it to another place. What was measured is saved: isobench list",
        )
        print_error(error)
        code = code or error.exit_code
    sys.exit(code)


def _code() -> int:
    """Run a command; its exit code. An error is printed."""
    try:
        return cli(prog_name="isobench", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except click.Abort as abort:  # click makes it of KeyboardInterrupt, and of EOFError, which is an error like others
        cause = abort.__cause__
        return _failed(cause) if isinstance(cause, EOFError) else _interrupted()
    except Exception as error:  # noqa: BLE001 - whatever it is, users get a message
        # A library may have made an exception of its own of KeyboardInterrupt, as numpy does while it is imported.
        return _interrupted() if interrupts.received() else _failed(error)


def _interrupted() -> int:
    name = interrupts.received()
    by = f" by {name}" if name not in {"", "SIGINT"} else ""
    click.echo(f"\ninterrupted{by}; the results so far are saved", err=True)
    return interrupts.exit_code()


def _failed(error: Exception) -> int:
    """Print an error; its exit code."""
    found = unexpected(error, "running the command")
    found.details = "" if isinstance(error, OSError) else found.details
    print_error(found)
    return found.exit_code


def print_error(error: IsobenchError) -> None:
    """Print an error: what failed, the evidence, the next step."""
    click.echo(f"error: {error.message}", err=True)
    for line in error.details.splitlines():
        click.echo(f"    {line}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
