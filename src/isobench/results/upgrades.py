"""Upgrades Results of earlier schemas to the present one, from JSON to JSON, before they are decoded."""

from __future__ import annotations

from typing import Any

from isobench.failures import kind_and_cause


def _from_2(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 had `settings.exactly`, no labels of runtimes, and kinds of failures that were class names.

    `iterations` was a number even where the user gave none. The decoding refuses whatever doesn't fit.
    """
    new = {**old, "schema": "isobench.result/3"}
    runtime, settings, outcome = old.get("runtime"), old.get("settings"), old.get("outcome")
    if isinstance(runtime, dict):
        new["runtime"] = {"label": runtime.get("name"), **runtime}
    if isinstance(settings, dict) and "exactly" in settings:
        new["settings"] = {name: value for name, value in settings.items() if name != "exactly"}
        if not settings["exactly"]:
            new["settings"]["iterations"] = None
    if isinstance(outcome, dict) and outcome.get("status") == "failed":
        kind, cause = kind_and_cause(str(outcome.get("kind")))
        new["outcome"] = {**outcome, "kind": kind, "cause": cause}
    return new


UPGRADES = {"isobench.result/2": _from_2}
"""For each earlier schema that can be read, the function that upgrades a Result to the next one."""


def upgrade(value: dict[str, Any]) -> dict[str, Any]:
    """The Result in the present schema."""
    while value["schema"] in UPGRADES:
        value = UPGRADES[value["schema"]](value)
    return value
