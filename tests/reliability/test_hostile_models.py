"""ONNX files and names of files that were made to do harm: each fails alone, in words, and the others are measured.

A call measures a few dozen of them beside a file that is good; ISOBENCH_TRIALS=all tries each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hostile_models import HOSTILE, REFUSED, Hostile
from onnx_forms import model, written

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ort_home")]

EACH = 1 if os.environ.get("ISOBENCH_TRIALS") == "all" else 4
TOGETHER = 32
RESULTS = [one for one in HOSTILE.values() if REFUSED not in one.endings][::EACH]
REFUSALS = [one for one in HOSTILE.values() if REFUSED in one.endings]
CALLS = [RESULTS[start : start + TOGETHER] for start in range(0, len(RESULTS), TOGETHER)]
LEAST = ("--min-time", "0.01", "--max-time", "0.05", "--timeout", "60")


def run(files: Sequence[Path], *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "isobench", "run", "-r", "ort", *LEAST, *options, "--", *files]
    return subprocess.run(command, capture_output=True, check=False, timeout=500)


def made(tmp_path: Path, hostile: Hostile) -> Path:
    folder = tmp_path / hostile.name
    folder.mkdir()
    return hostile.make(folder)


@pytest.mark.parametrize("together", CALLS, ids=lambda group: f"{group[0].name}-to-{group[-1].name}")
def test_each_hostile_file_ends_as_itself_and_the_good_ones_are_measured(
    together: Sequence[Hostile], tmp_path: Path
) -> None:
    good = written(tmp_path, model(), "good.onnx")
    also_good = written(tmp_path, model(opset=16), "also_good.onnx")
    done = run([good, *(made(tmp_path, one) for one in together), also_good], "--json")
    assert done.stdout, done.stderr.decode()
    first, *found, last = json.loads(done.stdout)
    assert [one["outcome"]["status"] for one in (first, last)] == ["measured", "measured"]
    assert len(found) == len(together)
    wrong = {one.name: unlike(one, result) for one, result in zip(together, found, strict=True)}
    assert not any(wrong.values()), "\n".join(text for text in wrong.values() if text)
    assert not controls(done.stderr)


@pytest.mark.parametrize("hostile", REFUSALS, ids=lambda one: one.name)
def test_what_is_no_file_is_refused_before_any_work(hostile: Hostile, tmp_path: Path) -> None:
    done = run([made(tmp_path, hostile), written(tmp_path, model(), "good.onnx")])
    text = done.stderr.decode()
    assert done.returncode == 3
    assert text.startswith("error: ")
    assert hostile.says in text


@pytest.mark.parametrize("name", [name for name in HOSTILE if "cursor" in name or "name_not_utf8" in name])
def test_the_table_of_a_hostile_file_has_no_control_characters(name: str, tmp_path: Path) -> None:
    done = run([made(tmp_path, HOSTILE[name])])
    assert b"runtime  mean ms" in done.stdout, done.stderr.decode()
    assert not controls(done.stdout + done.stderr)


def unlike(expected: Hostile, result: dict[str, Any]) -> str:
    """What of a Result isn't as it is expected to be; "" if it is."""
    outcome = result["outcome"]
    message = outcome.get("message", "")
    as_expected = result["ending"] in expected.endings and expected.says in message
    return "" if as_expected else f"{expected.name}: {result['ending']}: {message}\n{outcome.get('details', '')}"


def controls(text: bytes) -> list[int]:
    return [byte for byte in text if (byte < 0x20 and byte != 0x0A) or byte == 0x7F]
