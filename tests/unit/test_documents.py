"""Documents are held to the code: modules, members of a result, options in examples, columns, endings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import get_args, get_type_hints

import click
import pytest

from isobench import failures, interrupts, results
from isobench.analysis import correctness, gpu_noise, input_sets, intervals, noise, ratios, summary
from isobench.cli.main import cli
from isobench.planning.models import InputValues, Step, TensorSpec
from isobench.planning.plan import SweepPlace
from isobench.planning.settings import Settings
from isobench.system import facts

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "isobench"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").glob("*.md"),
]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def packages() -> set[str]:
    """The folders of the host's package, `workers` and `envs` (links) left out."""
    folders = {file.parent for file in PACKAGE.rglob("__init__.py") if not file.parent.is_symlink()}
    return {folder.relative_to(PACKAGE).as_posix() for folder in folders if folder != PACKAGE}


def modules_named(text: str) -> Iterator[str]:
    """What a document names as a file of this project: `analysis/noise.py`, `workers/launch.py`."""
    yield from re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|md|yml|toml|txt))`", text)


def exists(name: str) -> bool:
    return any((base / name).exists() for base in (ROOT, PACKAGE, PACKAGE / "environments", ROOT / "docs"))


@pytest.mark.parametrize("document", sorted(DOCUMENTS), ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    named = set(modules_named(document.read_text(encoding="utf-8")))
    own = {name for name in named if not re.search(r"NAME|FOLDER|DIR|^my", name)}  # a reader's own, in examples
    assert not sorted(name for name in own if not exists(name))


@pytest.mark.parametrize("document", sorted(DOCUMENTS), ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (document.parent / target).exists()]


def layer_table() -> list[tuple[str, str]]:
    """The rows of ARCHITECTURE's table of layers: the packages and modules of each, what they do."""
    section = text_of("ARCHITECTURE.md").partition("## Layers")[2].partition("\n## ")[0]
    return re.findall(r"^\| \d+ \| (.*?) \| (.*) \|$", section, flags=re.MULTILINE)


def test_architecture_names_every_package_and_module_of_the_top_folder_once() -> None:
    named = [name for row in layer_table() for name in re.findall(r"`([\w/]+)`", row[0])]
    modules = {file.stem for file in PACKAGE.glob("*.py") if not file.stem.startswith("__")}
    wanted = modules | {name for name in packages() if "/" not in name} | {"workers"}
    assert sorted(named) == sorted(wanted)


def test_the_layers_of_architecture_are_those_that_are_enforced() -> None:
    enforced = re.search(r"type = layers\nlayers =\n    isobench.__main__\n((?:    .*\n)+)", text_of("setup.cfg"))
    assert enforced is not None
    rows = [set(line.strip().replace("isobench.", "").split(" | ")) for line in enforced[1].splitlines()]
    assert [set(re.findall(r"`([\w/]+)`", names)) for names, _ in layer_table()] == rows


def test_setup_cfg_lists_every_package() -> None:
    listed = re.search(r"\npackages =\n((?:    .*\n)+)", text_of("setup.cfg"))
    assert listed is not None
    named = {line.strip().removeprefix("isobench").lstrip(".").replace(".", "/") for line in listed[1].splitlines()}
    assert named == packages() | {"", "workers", "envs"}


def commands(text: str) -> Iterator[list[str]]:
    """The words after `isobench` of each example: lines of code blocks, and in-line code."""
    for line in re.findall(r"^    (.*)$", text, flags=re.MULTILINE) + re.findall(r"`(isobench [^`\n]+)`", text):
        for part in line.split(" && "):
            words = part.split("  #")[0].strip()
            if words.startswith("isobench ") and "..." not in words.split()[:2]:
                yield shlex.split(words, comments=True)[1:]


def options_of(command: click.Command) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"-h", "--help"}


def unknown_options(words: list[str]) -> list[str]:
    """The options of an example that its command lacks; the command's own name if it is unknown."""
    command: click.Command = cli
    rest = list(words)
    context = click.Context(cli)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return [name]
        command = found
    known = options_of(command)
    if words[0] == "sequence":  # tools have options of their own, which their own tests cover
        return []
    given = [word.partition("=")[0] for word in rest if re.fullmatch(r"-[a-zA-Z]|--[a-z][\w-]*(=.*)?", word)]
    return [option for option in given if option not in known]


@pytest.mark.parametrize("document", sorted({*DOCUMENTS, ROOT / "CHANGELOG.md"}), ids=lambda path: path.name)
def test_every_command_of_an_example_takes_the_options_that_it_shows(document: Path) -> None:
    examples = list(commands(document.read_text(encoding="utf-8")))
    wrong = [(" ".join(words), unknown) for words in examples if words and (unknown := unknown_options(words))]
    assert not wrong


def test_examples_are_found_and_wrong_ones_are_noticed() -> None:
    assert len(list(commands(text_of("README.md")))) > 25
    assert unknown_options(["run", "--iterations", "3", "--colour", "model.py"]) == ["--colour"]
    assert unknown_options(["runn", "model.py"]) == ["runn"]
    assert unknown_options(["env", "list", "--json"]) == []


RECORDS = {
    "sweep": SweepPlace,
    "Result": results.Result,
    "model": results.ModelRecord,
    "input": TensorSpec,
    "input values": InputValues,
    "git": facts.Git,
    "runtime": results.RuntimeRecord,
    "device": results.DeviceRecord,
    "environment": results.EnvironmentRecord,
    "step": Step,
    "outcome, measured": results.Measured,
    "latency": summary.Summary,
    "interval": intervals.Interval,
    "verdict": noise.Verdict,
    "correctness": correctness.Correctness,
    "output": correctness.TensorCorrectness,
    "run": results.Run,
    "cold start": results.ColdStart,
    "warm-up": results.Warmup,
    "block": noise.Block,
    "block on a GPU": gpu_noise.GpuBlock,
    "turns": results.Turns,
    "gpu": gpu_noise.GpuSummary,
    "input sets": input_sets.InputSets,
    "set of inputs": input_sets.SetLatency,
    "ratio": ratios.Ratio,
    "outcome, failed": results.Failed,
    "provenance": results.Provenance,
    "host": facts.Host,
    "cpu": facts.Cpu,
    "cache": facts.Cache,
    "memory": facts.Memory,
    "kernel": facts.Kernel,
    "hypervisor": facts.Hypervisor,
    "clock": facts.Clock,
    "python": facts.Python,
    "container": facts.ContainerFacts,
    "batch": facts.BatchJob,
}
"""The record that each section of docs/result-schema.md describes. (Settings and columns are generated.)"""


def members_documented(section: str) -> list[str]:
    """The members in the first column of a section's table."""
    text = re.split(r"^#+ ", text_of("docs/result-schema.md").partition(f"# {section}\n")[2], flags=re.MULTILINE)[0]
    first_cells = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("section", RECORDS)
def test_the_schemas_documentation_has_each_member_once_and_no_other(section: str) -> None:
    derived = ["ending"] if section == "Result" else []
    assert sorted(members_documented(section)) == sorted([field.name for field in fields(RECORDS[section])] + derived)


def test_every_record_of_a_result_has_a_section() -> None:
    def within(kind: object) -> set[type]:
        inner = set().union(*(within(one) for one in get_args(kind)))
        if not (isinstance(kind, type) and is_dataclass(kind)):
            return inner
        return inner | {kind} | set().union(*(within(one) for one in get_type_hints(kind).values()))

    assert within(results.Result) - set(RECORDS.values()) == {Settings}


def test_the_generated_tables_are_those_of_the_code() -> None:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    written = text_of("docs/result-schema.md")
    assert generate.filled(written) == written, "make docs writes them again"


def test_each_exit_code_has_a_meaning() -> None:
    of_endings = {failures.exit_code(ending) for ending in failures.Ending}
    of_signals = {128 + number for number in interrupts.SIGNALS}
    assert {failures.SLOWER, *of_endings, *of_signals} == failures.EXIT_CODES.keys()


def test_the_exit_codes_of_the_readme_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text_of("README.md"), flags=re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == failures.EXIT_CODES
