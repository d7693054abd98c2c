"""`isobench sequence`: take models through tools, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from isobench.cli.parameters import (
    environment_options,
    given_inputs,
    script_options,
    settings_options,
    value_options,
)
from isobench.cli.words import Words, WordsCommand, is_model


def _is_tool(word: str) -> bool:
    from isobench.tools import registry

    return word in registry.tools() or word in registry.sequences()


def _is_not_a_model(word: str) -> bool:
    # A word that isn't a model is a tool's name, so that a misspelt one is reported as an unknown tool.
    return _is_tool(word) or not is_model(word)


class _SequenceCommand(WordsCommand):
    """A command whose help lists the tools, and which answers `-h` after a tool with that tool's own help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        tools = [word for word in args if _is_tool(word)]
        if tools and args[-1] in ctx.help_option_names:
            click.echo(_help(tools[-1]))
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from isobench.tools import registry

        with formatter.section("Tools (isobench sequence TOOL -h for the options of one)"):
            formatter.write_dl([(name, _first_line(tool)) for name, tool in registry.tools().items()])
        with formatter.section("Sequences by name"):
            formatter.write_dl(
                [(name, ", ".join(tool.name for tool in tools)) for name, tools in registry.sequences().items()]
            )


@click.command(cls=_SequenceCommand, context_settings={"allow_interspersed_args": False})
@click.option(
    "-i",
    "--input",
    "models",
    cls=Words,
    ends=_is_not_a_model,
    required=True,
    metavar="MODEL...",
    help="Models: scripts, .onnx files, globs, .txt lists of these.",
)
@click.option("--label", "labels", multiple=True, metavar="KEY::VALUE", help="Only scripts that carry this label.")
@settings_options(only=["seed", "timeout_s"])
@environment_options
@script_options
@value_options
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Save results in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="TOOL [OPTIONS] [TOOL [OPTIONS]]...")
def sequence(
    models: tuple[str, ...],
    labels: tuple[str, ...],
    script_args: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    words: tuple[str, ...],
    **settings: Any,
) -> int:
    """Take models through tools, each with its own options after its name.

    \b
    isobench sequence -i model.py discover export-pytorch --opset 17 benchmark --runtime ort --device x86
    isobench sequence -i model.py optimize-fp16 verify-export benchmark --iterations 50
    isobench sequence -i model.onnx load-onnx --dim batch=8 convert-fp16 benchmark

    Each tool works on the result of the one before it. An invalid order is refused before anything runs.
    """  # noqa: D301 - click keeps the lines after \b
    from isobench import api
    from isobench.cli.run import finish
    from isobench.console import Console
    from isobench.tools import registry
    from isobench.tools.benchmark import Benchmark
    from isobench.tools.sequence import parse

    console = Console()
    tools = parse(words, registry.tools(), registry.sequences())
    given = given_inputs(settings)
    measuring = api.sequence(
        models,
        tools,
        script_args=script_args,
        labels=labels,
        results=output.absolute() if output else None,
        progress=console,
        **given,
        **settings,
    )
    code = finish(measuring, console, as_json=as_json)
    if not any(isinstance(tool, Benchmark) for tool in tools):
        click.echo(
            f"done: {', '.join(tool.name for tool in tools)}; no benchmark tool, so nothing was measured", err=True
        )
    return code


def _first_line(tool: type) -> str:
    return (tool.__doc__ or "").strip().partition("\n")[0]


def _help(name: str) -> str:
    import inspect

    from isobench.runtimes.keywords import keywords
    from isobench.tools import registry

    if name not in registry.tools():
        return f"{name}: {', '.join(tool.name for tool in registry.sequences()[name])}"
    tool = registry.tools()[name]
    lines = [f"{name}: {inspect.cleandoc(tool.__doc__ or '')}", ""]
    for keyword in keywords(tool)[0]:
        description = str(keyword).removeprefix(keyword.name)
        lines.append(f"  --{keyword.name.replace('_', '-')}{description}")
    return "\n".join(lines if len(lines) > 2 else [*lines, "  It has no options."])
