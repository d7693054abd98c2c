"""Options that several commands share, and their values from text."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import MappingProxyType
from typing import Any, TypeVar

import click

from isobench.planning import setting_values, settings

_Command = TypeVar("_Command", bound=Callable[..., object])


class _ScriptArgs(click.ParamType[tuple[str, ...]]):
    """A script's arguments, quoted as in a shell."""

    name = "ARGS"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        import shlex

        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def _set_variable(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    """The callback of an option that stands for an environment variable."""

    def callback(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
        if value:
            os.environ[name] = value

    return callback


_PROVIDER = click.option(
    "--provider",
    metavar="NAME",
    expose_value=False,
    callback=_set_variable("ISOBENCH_PROVIDER"),
    help="How environments are installed: auto, conda, venv, container, adopted.  [ISOBENCH_PROVIDER; default: auto]",
)
_ENVS_DIR = click.option(
    "--envs-dir",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    expose_value=False,
    callback=_set_variable("ISOBENCH_ENVS"),
    help="Your own environment specs, which take precedence: DIR/NAME/environment.yml.  [ISOBENCH_ENVS]",
)


def environment_options(command: _Command) -> _Command:
    """The options of every command that uses environments."""
    return _PROVIDER(_ENVS_DIR(command))


_SCRIPT_ARGS = click.option(
    "--script-args",
    type=_ScriptArgs(),
    default=(),
    metavar="ARGS",
    help='Arguments of the script: --script-args="--batch_size=8".',
)


def _variables(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    if not texts:
        return {}
    from isobench.planning import script_variables

    return script_variables.parse(texts)


_ENV = click.option(
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    callback=_variables,
    help="An environment variable for the script; without a value, as it is set here. Can be repeated.",
)


def script_options(command: _Command) -> _Command:
    """The options of every command that runs scripts: `script_args`, and `env` as a dict."""
    return _SCRIPT_ARGS(_ENV(command))


_INPUTS = click.option(
    "--inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Values of the inputs, by name: .npz, .safetensors, .npy (one input), Polygraphy's .json, an ONNX folder "
    "test_data_set_N (with the expected outputs); NAME=FILE.npy or NAME=FILE.bin for one input. Can be repeated.",
)
_FILL = click.option(
    "--fill",
    multiple=True,
    metavar="NAME=RULE",
    help="Values of one input: zeros, ones, arange, normal, uniform:LOW..HIGH, a number, or @FILE. Can be repeated.",
)


_SHAPE = click.option(
    "--shape", "shapes", multiple=True, metavar="INPUT=N,N,...", help="The shape of an .onnx file's input."
)
_DIM = click.option(
    "--dim", "dimensions", multiple=True, metavar="NAME=N", help="A dynamic dimension of an .onnx file."
)


def value_options(command: _Command) -> _Command:
    """The options for the values of inputs."""
    return _INPUTS(_FILL(command))


def input_options(command: _Command) -> _Command:
    """The options of every command that takes sizes and values of inputs; `given_inputs` reads them."""
    return _SHAPE(_DIM(value_options(command)))


def given_inputs(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `input_options` out of `options`, and return them as keywords of `api.plan`.

    Raises:
        UsageError: one isn't of its form.
    """
    from isobench.planning import selection

    parsed = {"shapes": selection.shapes, "dimensions": selection.dimensions, "fill": selection.fill_rules}
    values = {name: parse(options.pop(name, ())) for name, parse in parsed.items()}
    return {"inputs": options.pop("inputs"), **values}


class _Parsed(click.ParamType[Any]):
    """A value that `parse` reads from text."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


PERCENT = _Parsed("PERCENT", setting_values.percent)
_TYPES: dict[settings.Kind, click.ParamType[Any]] = {
    "integer": click.INT,
    "seconds": click.FLOAT,
    "percent": PERCENT,
    "switch": click.BOOL,
    "list": _Parsed("LIST", setting_values.number_list),
    "timeout": _Parsed("TIMEOUT", setting_values.timeout),
    "bytes": _Parsed("SIZE", setting_values.size),
}


def settings_options(
    *, but: Sequence[str] = (), only: Sequence[str] = (), defaults: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[_Command], _Command]:
    """The options of `Settings` (all, all `but` some, or `only` some), as `isobench.planning.settings` declares them.

    `defaults` go over those that are declared. The command gets them by the names of the fields.
    """

    def decorate(command: _Command) -> _Command:
        names = [name for name in only or settings.OPTIONS if name not in but]
        for name in reversed(names):  # the last decorator's option is the first in the help
            command = _settings_option(settings.OPTIONS[name], defaults.get(name))(command)
        return command

    return decorate


def _settings_option(option: settings.Option, default: Any) -> Callable[[_Command], _Command]:
    given = option.default if default is None else default
    text = option.help
    if option.kind == "switch":
        text += f"  [default: {'' if given else 'no-'}{option.flag[2:]}]"
        return click.option(f"{option.flag}/--no-{option.flag[2:]}", option.name, default=given, help=text)
    if given not in (None, ()):
        text += f"  [default: {option.shown(given)}]"
    elif option.unset:
        text += f"  [default: {option.unset}]"
    kind = click.Choice(option.choices) if option.choices else _TYPES[option.kind]
    metavar = None if option.choices else option.metavar
    return click.option(option.flag, option.name, type=kind, default=given, metavar=metavar, help=text)


def wait_options(command: Callable[..., object]) -> Callable[..., object]:
    """How long to wait for a device that is in use: the command gets `wait`, as `api.plan` takes it."""
    waiting = click.option(
        "--wait",
        type=_Parsed("SECONDS", _seconds_to_wait),
        default=True,
        metavar="SECONDS",
        help="Wait for a device that is in use at most this long, then exit with code 9.  [default: until it is free]",
    )
    not_waiting = click.option("--no-wait", is_flag=True, help="Don't wait for it.")

    @wraps(command)
    def with_one_value(*arguments: Any, wait: bool | float, no_wait: bool, **options: Any) -> object:
        return command(*arguments, wait=False if no_wait else wait, **options)

    return waiting(not_waiting(with_one_value))


def _seconds_to_wait(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= settings.MOST:
        raise ValueError(f"must be a number of seconds, got {text!r}")
    return seconds
