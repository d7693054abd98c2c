"""The spread of rounding of a Build's outputs, from the evaluations that its worker made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isobench.analysis.output_spread import OutputSpread
from isobench.analysis.spread import Evaluation, alternatives, spreads
from isobench.builds.build import EXPECTED_FILE, UNSTABLE_FILE
from isobench.workers import protocol


def derive(folder: Path, reported: Mapping[str, Any]) -> tuple[OutputSpread, ...]:
    """The spread of each expected output in `folder`; what rounding changes completely is written to `UNSTABLE_FILE`.

    `reported` is what a worker said of its evaluations; their files are read and removed.
    """
    expected = protocol.read_tensors(folder / EXPECTED_FILE)
    done = [entry for entry in reported["evaluations"] if "file" in entry]
    repeat = Path(reported["repeat"])
    found, unstable = spreads(
        expected,
        protocol.read_tensors(repeat),
        [Evaluation(ulps=entry["ulps"], outputs=protocol.read_tensors(entry["file"])) for entry in done],
        arithmetic=reported["arithmetic"],
        steps=reported.get("steps"),
    )
    competing = Path(reported["competing"])
    alternative = [Path(reported["alternative"])] if "alternative" in reported else []
    for file in alternative:
        unstable += alternatives(expected, protocol.read_tensors(file))
    unstable += [tensor._replace(name=f"{tensor.name}:competing") for tensor in protocol.read_tensors(competing)]
    for file in (repeat, competing, *alternative, *(Path(entry["file"]) for entry in done)):
        file.unlink()
    if unstable:
        protocol.write_tensors(folder / UNSTABLE_FILE, unstable)
    return tuple(found)
