"""Options that take several words, as TurnkeyML's users type them: `--rt-args mode::fast sizes::[1,2] spinning`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from isobench.system import reading

MODEL_SUFFIXES = (".py", ".onnx", ".ort", ".txt")


def is_model(word: str) -> bool:
    """Whether it is a model rather than an argument: by its suffix, as a glob, or because the file or folder exists."""
    if reading.exists(word) or Path(word.partition("::")[0]).suffix in MODEL_SUFFIXES:
        return True
    return "::" not in word and any(character in word for character in "*?[")


class Words(click.Option):
    """An option that takes all words up to the next option, or up to the first one for which `ends` is true."""

    def __init__(self, *arguments: Any, ends: Callable[[str], bool] = is_model, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "multiple": True})
        self.ends = ends


class WordsCommand(click.Command):
    """A command some of whose options are `Words`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for option in self.params:
            if isinstance(option, Words):
                args = _one_by_one(args, option, ctx)
        return super().parse_args(ctx, _written_out(args, self.params))


def _one_by_one(args: Sequence[str], option: Words, ctx: click.Context) -> list[str]:
    """Repeat the option before each of its words, as click reads them."""
    made: list[str] = []
    rest = list(args)
    while rest:
        name, equals, first = rest.pop(0).partition("=")
        if name not in option.opts:
            made.append(f"{name}{equals}{first}")
            continue
        words = [first] if equals else []
        while rest and not rest[0].startswith("-") and not option.ends(rest[0]):
            words.append(_whole_list(rest))
        if not words:
            raise click.BadOptionUsage(
                name, f"{name} needs at least one {str(option.metavar).removesuffix('...')}", ctx
            )
        for word in words:
            made += [name, word]
    return made


def _written_out(args: Sequence[str], params: Sequence[click.Parameter]) -> list[str]:
    """Long names in place of short ones (`-r`): for each short one, click loads what finds similar names (2 ms)."""
    options = {name: option for option in params if isinstance(option, click.Option) for name in option.opts}
    made: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*made, word, *rest]
        option = options.get(word)
        made.append(next((name for name in option.opts if name.startswith("--")), word) if option else word)
        if option and not option.is_flag and rest:
            made.append(rest.pop(0))  # its value, whatever it looks like
    return made


def _whole_list(rest: list[str]) -> str:
    """The next word, with the rest of a list that the shell split at its blanks (`sizes::[1, 2]`)."""
    word = rest.pop(0)
    while "::[" in word and not word.endswith("]") and rest and not rest[0].startswith("--"):
        word += rest.pop(0)
    return word


RT_ARGS = click.option(
    "--rt-args",
    "rt_args",
    cls=Words,
    metavar="NAME::VALUE...",
    help="Arguments for all runtimes, separated by blanks: mode::fast sizes::[1,2] flag (a name without a value is "
    "True). They end at the next option or model. isobench benchmark -h lists them.",
)
RUNTIMES = click.option(
    "-r",
    "--runtime",
    "runtimes",
    multiple=True,
    metavar="NAME[@ENV][:ARG=VALUE,...]",
    help="A runtime: its name (ort), with another environment (ort@mine), or with its own arguments "
    "(ort:graph_optimization=basic,spinning=false). Can be repeated.  [default: the device's first]",
)
DEVICE = click.option(
    "--device",
    default="x86",
    show_default=True,
    metavar="FAMILY[::PART[::CONFIG]]",
    help="The device to measure on. Part and config default to the first that the runtime lists; cpu is this machine's "
    "processor, whatever it is.",
)
