"""CaseKey: the identity of a Case, known before it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from isobench.planning.models import Step
from isobench.planning.settings import Settings
from isobench.record import record
from isobench.system import files

SCHEMA = "isobench.case/1"
DIGITS = 24

PART_DIGITS = 12
SOURCE = "the model's file"
ENVIRONMENT = "the environment"

NOT_COUNTED = ("timeout_s", "phase_timeouts_s", "memory_limit_bytes")
"""Settings that change neither what is measured nor how: a run that stays within its limits is the same with any."""


@record(frozen=True, slots=True, kw_only=True)
class CaseKey:
    """Everything that the figures depend on; `str` is a hash of it.

    `source_sha256` is of the script or `.onnx` file, `model_hash` of the model's structure, `weights_sha256` of its
    weights. `arguments` are all arguments of the runtime, defaults included; `environment` is its identity.
    `inputs_sha256` is of the values of the inputs; "" where the user gave none of them. `env` are environment variables
    of the user's own. A part that is unknown, because
    building failed, is "" (of the model's hash: what the user typed).
    """

    source_sha256: str
    model_hash: str
    weights_sha256: str
    script_args: tuple[str, ...]
    dimensions: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    steps: tuple[Step, ...]
    runtime: str
    arguments: Mapping[str, Any]
    environment: str
    device: str
    settings: Settings
    interleaved: bool
    inputs_sha256: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> dict[str, str]:
        """What may change between two moments of the same plan, in words: "the script or file" -> a short hash."""
        import json

        def short(value: Any) -> str:
            text = json.dumps(codec.encode(value), sort_keys=True, default=str)
            return files.sha256_of(text.encode())[:PART_DIGITS]

        from isobench import codec

        return {
            SOURCE: self.source_sha256[:PART_DIGITS],
            "the model's structure": self.model_hash,
            "the model's weights": self.weights_sha256[:PART_DIGITS],
            "the inputs": self.inputs_sha256[:PART_DIGITS],
            ENVIRONMENT: self.environment[:PART_DIGITS],
            "the runtime's arguments": short(self.arguments),
            "the steps before measuring": short(self.steps),
        }

    def __str__(self) -> str:
        import json

        from isobench import codec

        value = {"schema": SCHEMA, **codec.encode(self)}
        value["settings"] = {name: one for name, one in value["settings"].items() if name not in NOT_COUNTED}
        for name in ("inputs_sha256", "env"):
            if not value[name]:  # so that the keys of earlier results stay what they are
                del value[name]
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
        return files.sha256_of(text.encode())[:DIGITS]
