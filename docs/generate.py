"""Writes what is generated: the tables of docs/result-schema.md (settings, failure kinds, phases, columns of the CSV),
and the JSON Schema of suites.

`make docs` runs this; a test fails while one of them isn't what this writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from isobench import failures
from isobench.planning import settings, suite_schema
from isobench.reports import columns

FILE = Path(__file__).with_name("result-schema.md")


def tables() -> dict[str, str]:
    """Each generated block by its name."""
    kinds = [f"| `{kind}` | {failures.exit_code(kind)} | {failures.MEANINGS[kind]} |" for kind in failures.FailureKind]
    described = [f"| `{one.name}` | {one.unit} | {one.about} |" for one in columns.CSV]
    return {
        "settings": settings.markdown_table(),
        "failure kinds": "\n".join(["| kind | exit code | meaning |", "| --- | --: | --- |", *kinds]),
        "phases": f"Phases: {', '.join(f'`{phase}`' for phase in failures.Phase)}.",
        "columns": "\n".join(["| column | unit | is |", "| --- | --- | --- |", *described]),
    }


def filled(text: str) -> str:
    """The document with its generated blocks made again."""
    for name, table in tables().items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        text, found = re.subn(
            pattern, lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL
        )
        if found != 1:
            raise ValueError(f"{FILE} must have one block {name!r}, has {found}")
    return text


if __name__ == "__main__":
    FILE.write_text(filled(FILE.read_text(encoding="utf-8")), encoding="utf-8")
    suite_schema.FILE.write_text(suite_schema.made(), encoding="utf-8")
