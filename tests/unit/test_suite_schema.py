"""The JSON Schema of suites: it is generated, and accepts and refuses what the reader does."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from isobench.planning import suite_file, suite_keys, suite_schema
from isobench.planning.settings import OPTIONS
from isobench.planning.suite import SuiteError

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "suites").glob("*.toml"))
SCHEMA = json.loads(suite_schema.text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_what_make_docs_writes() -> None:
    assert suite_schema.text() == suite_schema.made(), "make docs writes it again"


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def described(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of every table, with its schema."""
    if isinstance(schema, dict):
        for key, inner in schema.get("properties", {}).items():
            yield f"{name}.{key}", inner
            yield from described(inner, f"{name}.{key}")
        for key, inner in schema.items():
            if key != "properties":
                yield from described(inner, name)
    elif isinstance(schema, list):
        for one in schema:
            yield from described(one, name)


def test_every_key_has_a_description() -> None:
    keys = dict(described(SCHEMA))
    assert {f".{key.name}" for key in suite_keys.TOP} <= set(keys)
    assert {f".settings.{option.flag.removeprefix('--')}" for option in OPTIONS.values()} <= set(keys)
    assert not [name for name, schema in keys.items() if len(schema.get("description", "")) < 10]


def test_there_are_three_examples() -> None:
    assert [file.stem for file in EXAMPLES] == ["first", "nightly", "threads"]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_valid_and_names_the_schema_for_editors(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    VALIDATOR.validate(tomllib.loads(text))
    first = text.splitlines()[0]
    assert first.startswith("#:schema ")
    assert (file.parent / first.removeprefix("#:schema ")).samefile(suite_schema.FILE)


GOOD = [
    "",
    'runtimes = "ort"',
    'runtimes = ["ort", { name = "ort", args = { spinning = false, sizes = [1, 2] } }]',
    'script-args = ["--batch", 8]',
    'dim = { batch = "{batch}" }\n[matrix]\nbatch = 8',
    'shape = { x = [1, "{n}"], y = "1,2" }\n[matrix]\nn = [1]',
    "[matrix]\nort.spinning = [true, false]",
    "[settings]\nprecision = '1%'\ncpus = '0-3,8'\nthreads = '{threads}'",
    "[settings]\nprecision = 0.1\ncpus = [0, 1]\nmin-time = 1",
    "[[exclude]]\nbatch = 1\nmodel = 'a'\nort.spinning = true",
    "[slurm]\ncpus = 2\nsetup = ['module load x']",
]
BAD = [
    'modles = ["b.py"]',
    "repeat = 0",
    "repeat = 1.5",
    'order = "Random"',
    "runtimes = []",
    "runtimes = [{ args = {} }]",
    "runtimes = [{ name = 'ort', arg = {} }]",
    "device = 'x86'\ndevices = 'x86'",
    "name = 'a/b'",
    "script-args = 8",
    "env = { A = true }",
    "dim = { batch = -1 }",
    "dim = { batch = '8' }",
    "interleave = 1",
    "[matrix]\nbatch = []",
    "[matrix]\nbatch = [{ a = 1 }]",
    "[settings]\nmin_time = 1",
    "[settings]\nthreads = 0",
    "[settings]\nheap = 'Steady'",
    "[settings]\nnice = 20",
    "[[exclude]]\nmodel = 1",
    "slurm = 1",
]


def suite_of(text: str) -> str:
    return f'schema = "isobench.suite/1"\nmodels = ["a.py"]\n{text}\n'


@pytest.mark.parametrize("text", GOOD)
def test_what_the_reader_accepts_the_schema_accepts(tmp_path: Path, text: str) -> None:
    (tmp_path / "suite.toml").write_text(suite_of(text))
    suite_file.load(tmp_path / "suite.toml")
    VALIDATOR.validate(tomllib.loads(suite_of(text)))


@pytest.mark.parametrize("text", BAD)
def test_what_the_reader_refuses_the_schema_refuses(tmp_path: Path, text: str) -> None:
    (tmp_path / "suite.toml").write_text(suite_of(text))
    with pytest.raises(SuiteError):
        suite_file.load(tmp_path / "suite.toml")
    assert not VALIDATOR.is_valid(tomllib.loads(suite_of(text)))


@pytest.mark.parametrize("missing", ["schema", "models"])
def test_the_schema_requires_schema_and_models(missing: str) -> None:
    value = tomllib.loads(suite_of(""))
    del value[missing]
    assert not VALIDATOR.is_valid(value)


def test_the_schema_may_be_made_for_other_executors() -> None:
    schema = json.loads(suite_schema.made(["local", "mine"]))
    value = tomllib.loads(suite_of("[mine]\nqueue = 1"))
    jsonschema.Draft202012Validator(schema).validate(value)
    assert not VALIDATOR.is_valid(value)
