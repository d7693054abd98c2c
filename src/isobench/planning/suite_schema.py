"""The JSON Schema of suite files (draft 2020-12), by which editors complete and check them.

`make docs` writes it to `suite.schema.json`, which is part of the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from isobench.planning import suite_keys
from isobench.planning.suite_forms import Json
from isobench.planning.suite_tables import Record, described

FILE = Path(__file__).with_name("suite.schema.json")
OWN_EXECUTORS = ("local", "slurm")


def text() -> str:
    """The schema as JSON, as it is shipped."""
    return FILE.read_text(encoding="utf-8")


def made(executors: Iterable[str] = OWN_EXECUTORS) -> str:
    """The schema as JSON, made from the declared keys; `executors` may have a table each."""
    schema = Record(suite_keys.TOP).schema()
    schema["properties"] |= {name: described(suite_keys.executor_key(name)) for name in executors}
    schema["not"] = {"required": ["device", "devices"]}
    head: Json = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "isobench suite",
        "description": "What a sweep measures: models, runtimes, and a matrix of values. See docs/suites.md.",
    }
    return json.dumps(head | schema, indent=1, ensure_ascii=False) + "\n"
