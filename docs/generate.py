"""Writes what is generated: the tables of docs/result-schema.md (settings, endings, phases, columns of the CSV),
and the JSON Schema of suites, and the tables of their keys in docs/suites.md.

`make docs` runs this; a test fails while one of them isn't what this writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from isobench import failures
from isobench.planning import settings, suite_keys, suite_schema
from isobench.reports import columns

FILE = Path(__file__).with_name("result-schema.md")
SUITES_FILE = Path(__file__).with_name("suites.md")


def tables() -> dict[str, str]:
    """Each generated block by its name."""
    kinds = [f"| `{kind}` | {failures.exit_code(kind)} | {failures.MEANINGS[kind]} |" for kind in failures.Ending]
    described = [f"| `{one.name}` | {one.unit} | {one.about} |" for one in columns.CSV]
    return {
        "settings": settings.markdown_table(),
        "endings": "\n".join(["| ending | exit code | meaning |", "| --- | --: | --- |", *kinds]),
        "phases": f"Phases: {', '.join(f'`{phase}`' for phase in failures.Phase)}.",
        "columns": "\n".join(["| column | unit | is |", "| --- | --- | --- |", *described]),
    }


def suite_tables() -> dict[str, str]:
    """The generated blocks of docs/suites.md by their names."""
    found = {
        "keys": suite_keys.TOP,
        "keys of a model": suite_keys.MODEL.keys,
        "keys of a runtime": suite_keys.RUNTIME.keys,
    }
    return {
        name: "\n".join(["| key | |", "| --- | --- |", *(f"| `{key.name}` | {_about(key)} |" for key in keys)])
        for name, keys in found.items()
    }


def _about(key: suite_keys.Key) -> str:
    default = "" if key.default is None else f" Default: `{json.dumps(key.default)}`."
    return f"{key.about.replace('|', ', ')}{default}{' Required.' if key.required else ''}"


def filled(text: str, blocks: dict[str, str] | None = None) -> str:
    """A document with its generated blocks (those of docs/result-schema.md, unless `blocks` are given) made again."""
    for name, table in (blocks or tables()).items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        text, found = re.subn(
            pattern, lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL
        )
        if found != 1:
            raise ValueError(f"the document must have one block {name!r}, has {found}")
    return text


if __name__ == "__main__":
    FILE.write_text(filled(FILE.read_text(encoding="utf-8")), encoding="utf-8")
    SUITES_FILE.write_text(filled(SUITES_FILE.read_text(encoding="utf-8"), suite_tables()), encoding="utf-8")
    suite_schema.FILE.write_text(suite_schema.made(), encoding="utf-8")
