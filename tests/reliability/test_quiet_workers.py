"""No runtime calls anybody, looks up a name, or writes a file outside of isobench's folders.

Traced is a whole `isobench run`, from the script to the last result. ONNX Runtime's telemetry begins seconds after the
first session, so the workers live for 30 s each with ISOBENCH_TRIALS=all; otherwise some live together for seconds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shared_home
import syscalls

from isobench.environments import Environment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(syscalls.unavailable()), reason=syscalls.unavailable()),
]

ALL = os.environ.get("ISOBENCH_TRIALS") == "all"
RUNTIMES = ["ort", "openvino", "torch-eager", "torch-compiled"]
SOME = ["ort", "openvino", "torch-compiled"]
SCRIPT = """
import torch

model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
model(torch.randn(4, 64))
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name, as a user's: names of sockets have at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="iso") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def variables(folder: Path, provisioned: Callable[[str], Environment]) -> dict[str, str]:
    """The variables of a user whose home is empty, and whose isobench has its environments."""
    for name in ("ort", "openvino", "torch"):
        provisioned(name)
    # What g++ compiled for torch.compile is shared, too, unless everything is tried.
    shared_home.share(folder / "isobench", *(() if ALL else ("tmp", "cache")))
    (folder / "home").mkdir()
    (folder / "model.py").write_text(SCRIPT)
    own = {name: os.environ[name] for name in ("PATH", "LANG", "PIP_FIND_LINKS") if name in os.environ}
    return own | {
        "HOME": str(folder / "home"),
        "ISOBENCH_HOME": str(folder / "isobench"),
        "PYTHONDONTWRITEBYTECODE": "1",  # of isobench's own modules
        "ISOBENCH_DEVICE_LOCKS": str(folder / "isobench" / "devices"),
    }


def outside(traced: syscalls.Traced, folder: Path) -> list[str]:
    """The connections, look-ups and changes of files that aren't isobench's own business."""
    ours = (f"{folder}/isobench/", f"{shared_home.SHARED}/", "/dev/null", "/proc/", "/sys/fs/cgroup/")
    found = set()
    for call in traced.calls:
        connects = call.kind == "n" and call.path.startswith("inet")
        happened = call.result is None or call.result >= 0
        writes = call.kind == "c" and happened and call.path.startswith("/") and not f"{call.path}/".startswith(ours)
        if connects or writes:
            found.add(f"{call.name} {call.path}")
    return sorted(found)


def run(*arguments: str, folder: Path, variables: dict[str, str]) -> syscalls.Traced:
    command = [sys.executable, "-m", "isobench", "run", *arguments, str(folder / "model.py")]
    return syscalls.trace(command, only="all", everybody=True, env=variables, cwd=folder, timeout_s=900)


@pytest.mark.parametrize("chosen", [[one] for one in RUNTIMES] if ALL else [SOME], ids=" ".join)
def test_no_runtime_calls_anybody_or_writes_elsewhere(
    chosen: list[str], folder: Path, variables: dict[str, str]
) -> None:
    options = ["--min-time", "30", "--max-time", "60"] if ALL else ["--max-time", "4", "--interleave"]
    before = set(folder.glob("isobench/results/*/result.json"))
    options += [part for name in chosen for part in ("--runtime", name)]
    traced = run(*options, folder=folder, variables=variables)
    assert traced.returncode == 0, traced.stderr
    files = set(folder.glob("isobench/results/*/result.json")) - before
    results = [json.loads(file.read_text()) for file in files]
    assert sorted(result["runtime"]["name"] for result in results) == sorted(chosen)
    found = outside(traced, folder)
    assert found == [], found
    assert list((folder / "home").iterdir()) == []
    assert {"results", "builds"} <= {file.name for file in (folder / "isobench").iterdir()}


def test_the_trace_shows_what_a_runtime_does_without_these_variables(folder: Path, variables: dict[str, str]) -> None:
    loud = ["--env", "ORT_DISABLE_TELEMETRY=0", "--env", "TF_BUILD="]
    traced = run("--runtime", "ort", "--min-time", "30" if ALL else "0.1", *loud, folder=folder, variables=variables)
    found = outside(traced, folder)
    assert any(".cache/Microsoft" in line for line in found)
    assert any("port 53" in line for line in found) or not ALL
