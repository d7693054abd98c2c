"""DiscoveredModel: a model that a script calls, as the worker that ran the script describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from isobench.planning.models import TensorSpec
from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class DiscoveredModel:
    """One model of a script: what it is, how often it was called, and with which inputs.

    `hash` (8 hex digits) chooses it: `isobench run SCRIPT::HASH`. `is_case`: it is measured even if it isn't chosen.
    `depth` is how deep it is below the script's models, `parent` the hash of the model that calls it. `instances` have
    the same architecture and inputs and count as one. `instantiated_at` is its place in the script.
    """

    name: str
    class_name: str
    hash: str
    is_case: bool
    depth: int
    parent: str | None
    parameters: int
    parameter_bytes: int
    invocations: int
    instances: int
    inputs: tuple[TensorSpec, ...]
    signature: str
    instantiated_at: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DiscoveredModel:
        """The model that a worker described; further members of `value` are ignored."""
        given = {one.name: value[_json_name(one.name)] for one in fields(cls)}
        return cls(**{**given, "inputs": tuple(map(TensorSpec.from_json, given["inputs"]))})

    def __getitem__(self, name: str) -> Any:
        """A member by the name that it has in JSON: `model["class"]`.

        Raises:
            KeyError: there is none of that name.
        """
        return self.to_json()[name]

    def to_json(self) -> dict[str, Any]:
        """As the worker wrote it, and as `isobench discover --json` prints it."""
        return {_json_name(name): value for name, value in asdict(self).items()}


def _json_name(name: str) -> str:
    return "class" if name == "class_name" else name
