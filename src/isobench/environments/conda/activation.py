"""The variables that `conda activate` sets: determined once, at installation, and stored in the manifest."""

from __future__ import annotations

import os
from pathlib import Path

from isobench.errors import ProvisionError
from isobench.system import process, reading

# The scripts are shell code, written for bash; their output is discarded.
_SOURCE = 'for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do . "$script" >&2; done; exec env -0'
_OWN = {"_", "PWD", "OLDPWD", "SHLVL", "HOME", "LANG", "TMPDIR"}


def variables(prefix: Path) -> dict[str, str]:
    """The variables of an activated prefix; PATH holds only what precedes the usual one.

    Raises:
        ProvisionError: one of its activation scripts fails.
    """
    found = {"CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": str(prefix), "CONDA_SHLVL": "1", **_declared(prefix)}
    usual = "/usr/bin:/bin"
    path = f"{prefix}/bin"
    if any(prefix.glob("etc/conda/activate.d/*.sh")):
        env = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        shell = Path("/bin/bash") if Path("/bin/bash").exists() else Path("/bin/sh")
        try:
            output = process.capture([shell, "-c", _SOURCE], env={**env, **found, "PATH": f"{path}:{usual}"})
        except OSError as error:
            raise ProvisionError(
                f"an activation script in {prefix}/etc/conda/activate.d failed",
                details=str(error),
                hint="The package that it belongs to may not suit this machine.",
            ) from None
        after = dict(line.split("=", 1) for line in output.split("\0") if "=" in line)
        path = after.pop("PATH", path).removesuffix(usual).rstrip(":")
        found |= {name: value for name, value in after.items() if name not in _OWN}
    return {**found, "PATH": path}


def _declared(prefix: Path) -> dict[str, str]:
    """Variables that packages declare (`env_vars.d`), and those set with `conda env config vars`."""
    found: dict[str, str] = {}
    for file in [*sorted(prefix.glob("etc/conda/env_vars.d/*.json")), prefix / "conda-meta" / "state"]:
        try:
            content = reading.read_json(file)
        except (OSError, ValueError):
            continue
        declared = content.get("env_vars") if file.name == "state" and isinstance(content, dict) else content
        if isinstance(declared, dict):
            found |= {str(name): str(value) for name, value in declared.items()}
    return found
