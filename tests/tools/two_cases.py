"""A call that measures two cases in a home of its own, and what must hold of it, whatever fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnx_forms import model, node, written

from isobench import failures
from isobench.failures import Ending

CODES = {failures.exit_code(ending) for ending in Ending}
REFUSALS = {failures.exit_code(ending) for ending in (Ending.USAGE, Ending.MODEL_ERROR, Ending.RESULT)}
TIMEOUT_S = 120
NAMES = ("relu", "tanh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How the call ended; `endings` are those of the cases that it printed, `unsaved` how many couldn't be saved."""

    code: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def measured(self) -> int:
        return len(re.findall(r"^ort  .*  (?:correct|not compared|wrong)  ", self.stdout, re.MULTILINE))

    @property
    def failed(self) -> list[str]:
        return re.findall(r"^ort  .*  failed: (\S+)$", self.stdout, re.MULTILINE)

    @property
    def unsaved(self) -> int:
        return len(re.findall(r"^not saved: ", self.stdout, re.MULTILINE))

    @property
    def was_refused(self) -> bool:
        """Was nothing done, because a model or the folder of results can't be used?"""
        return self.code in REFUSALS and not self.stdout and self.stderr.startswith("error: ")


class TwoCases:
    """Two .onnx files, and an ISOBENCH_HOME whose environments are those of `stored`."""

    def __init__(self, folder: Path, stored: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self._stored = stored
        self.models = [written(folder, model([node(name.capitalize())]), f"{name}.onnx") for name in NAMES]

    @property
    def argv(self) -> list[str | Path]:
        least = ["--iterations", "5", "--warmup", "1", "--timeout", "60"]
        return [sys.executable, "-m", "isobench", "run", "-r", "ort", *least, *self.models]

    @property
    def env(self) -> Mapping[str, str]:
        locks = str(self.folder / "locks")
        return {**os.environ, "ISOBENCH_HOME": str(self.home), "ISOBENCH_DEVICE_LOCKS": locks}

    def link_environments(self) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / "environments").symlink_to(self._stored)

    def run(self) -> Call:
        """Make the call without a tracer."""
        done = subprocess.run(
            self.argv, env=self.env, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
        return Call(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def problems(self, call: Call) -> list[str]:
        """What isn't as it must be: each case is printed, saved or said not to be, and nothing half-written is left."""
        if call.timed_out:
            return ["it hangs"]
        found = ["a traceback on stderr"] if "Traceback" in call.stderr else []
        found += ["an error in isobench"] if "an error in isobench" in call.stdout + call.stderr else []
        # A case fails so for errors of the machine, too, that have no kind of their own.
        own = failures.exit_code(Ending.INTERNAL)
        is_known = call.code in CODES and (call.code != own or Ending.INTERNAL in call.failed)
        found += [] if is_known else [f"the exit code is {call.code}"]
        saved = self._saved(found)
        if call.was_refused:
            return found + ([f"refused, but {len(saved)} results"] if saved else [])
        if call.measured + len(call.failed) != len(NAMES):
            found.append(f"{call.measured} measured and {len(call.failed)} failed are printed")
        if len(saved) + call.unsaved != len(NAMES):
            found.append(f"{len(saved)} are saved, {call.unsaved} are said not to be")
        if bool(call.code) != bool(call.failed or call.unsaved):
            found.append(f"the exit code is {call.code}")
        return found

    def _saved(self, found: list[str]) -> list[Path]:
        results = self.home / "results"
        folders = list(results.iterdir()) if results.exists() else []
        half = [one.name for one in folders if not (one / "result.json").exists() or list(one.glob("*.tmp"))]
        found += [f"half-written: {half}"] if half else []
        listing = [sys.executable, "-m", "isobench", "list", "--json"]
        done = subprocess.run(listing, env=self.env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode or "Traceback" in done.stderr or "can't be read" in done.stderr:
            found.append(f"list fails: {done.stderr}")
            return folders
        if folders and len(json.loads(done.stdout)) != len(folders):
            found.append(f"{len(folders)} folders, but list shows {len(json.loads(done.stdout))}")
        return folders
