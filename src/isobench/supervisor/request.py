"""The request that a worker carries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from isobench.record import record
from isobench.workers import protocol


@record(frozen=True, slots=True, kw_only=True)
class Request:
    """The contents of `request.json`: `arguments` are the keywords of the worker's `_execute`.

    `warmup` is a fixed number of untimed iterations, None until the latency has settled. `exactly`: the iterations are
    the user's own number. `interleaved`: other workers take blocks in between. `model` is what `Build.request` returns.
    """

    arguments: Mapping[str, Any]
    threads: int
    seed: int
    warmup: int | None = None
    exactly: bool = False
    interleaved: bool = False
    device: str = "cpu"
    model: Mapping[str, Any] | None = None

    def write(self, run_dir: Path) -> None:
        """Write it where the worker looks for it."""
        members = {field.name: getattr(self, field.name) for field in fields(self)}
        protocol.write_json(run_dir / protocol.REQUEST_FILE, {"schema": protocol.REQUEST_SCHEMA, **members})
