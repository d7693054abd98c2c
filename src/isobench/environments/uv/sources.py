"""Packages that have no wheels, and are built from source when an environment is installed: pycuda, so far.

Their build dependencies are pinned, too, in the spec's `build-constraints.txt`. Conda has built packages of them: with
those installed, uv finds the same version and builds nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from isobench.environments.specs import Spec
from isobench.errors import ProvisionError

NEED_CUDA = ("pycuda",)
"""The packages that are compiled against the CUDA toolkit."""
SETTINGS = Path("~/.aksetup-defaults.py")
"""Where pycuda's build reads its user's settings."""


def toolkit() -> Path | None:
    """The CUDA toolkit of this machine: CUDA_HOME or CUDA_PATH, that of the nvcc on PATH, or /usr/local/cuda."""
    nvcc = shutil.which("nvcc")
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT") if os.environ.get(name)]
    usual = [*([Path(nvcc).resolve().parents[1]] if nvcc else []), Path("/usr/local/cuda")]
    places = [Path(name) for name in named] or usual
    return next((place for place in places if (place / "include" / "cuda.h").is_file()), None)


def check(spec: Spec) -> None:
    """Check that the packages can be built here.

    Raises:
        ProvisionError: something is missing.
    """
    wanted = sorted(set(NEED_CUDA) & set(spec.sdists))
    if not wanted:
        return
    what = f"the {spec.name} environment can't be installed: {wanted[0]} is built from source, which needs"
    by_conda = f"use conda-forge's: isobench env create {spec.name} --provider conda"
    found = toolkit()
    if found is None:
        raise ProvisionError(
            f"{what} the CUDA toolkit, and neither CUDA_HOME nor /usr/local/cuda has include/cuda.h",
            hint=f"Install the toolkit and set CUDA_HOME, or {by_conda}",
        )
    if not (found / "include" / "curand.h").is_file() and not SETTINGS.expanduser().is_file():
        raise ProvisionError(
            f"{what} the whole CUDA toolkit, and the one in {found} has no include/curand.h",
            hint=f"Install it (libcurand-dev), write `CUDA_ENABLE_CURAND = False` into {SETTINGS}, or {by_conda}",
        )
    if shutil.which("c++") is None and shutil.which("g++") is None:
        raise ProvisionError(f"{what} a C++ compiler", hint=f"Install g++, or {by_conda}")


def arguments(spec: Spec) -> list[str | Path]:
    """The arguments for uv: only the sdists are built, with their pinned build dependencies."""
    built = set(spec.sdists)
    wheels = [name for name in sorted(spec.locked()) if name not in built]
    only_wheels: list[str | Path] = [part for name in wheels for part in ("--only-binary", name)]
    constraints = spec.build_constraints_file
    return [*only_wheels, "--build-constraints", constraints] if constraints.exists() else only_wheels


def variables() -> dict[str, str]:
    """The variables by which a build finds the CUDA toolkit."""
    found = toolkit()
    if found is None:
        return {}
    path = f"{found / 'bin'}:{os.environ.get('PATH', '')}"
    return {"CUDA_HOME": str(found), "CUDA_ROOT": str(found), "PATH": path}
