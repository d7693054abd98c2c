"""Packages that have no wheels, and are built from source where an environment is laid down: pycuda, so far.

What they are built with is pinned, too, in the spec's `build-constraints.txt`. Conda has them built, in its own layer:
then the same version is there already when uv comes, and nothing is built.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from isobench.environments.specs import Spec
from isobench.errors import ProvisionError

NEED_CUDA = ("pycuda",)
"""Those that are compiled against the CUDA toolkit."""
SETTINGS = Path("~/.aksetup-defaults.py")
"""Where pycuda's build looks for what its user has set."""


def toolkit() -> Path | None:
    """The CUDA toolkit of this machine: where CUDA_HOME or CUDA_PATH say, beside nvcc, or in its usual place."""
    nvcc = shutil.which("nvcc")
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT") if os.environ.get(name)]
    usual = [*([Path(nvcc).resolve().parents[1]] if nvcc else []), Path("/usr/local/cuda")]
    places = [Path(name) for name in named] or usual
    return next((place for place in places if (place / "include" / "cuda.h").is_file()), None)


def check(spec: Spec) -> None:
    """Raises:
    ProvisionError: something can't be built here.
    """
    wanted = sorted(set(NEED_CUDA) & set(spec.sdists))
    if not wanted:
        return
    what = f"the {spec.name} environment can't be laid down: {wanted[0]} is built from source, which needs"
    by_conda = f"isobench env create {spec.name} --provider conda takes the one that conda-forge has built"
    found = toolkit()
    if found is None:
        raise ProvisionError(
            f"{what} the CUDA toolkit, and there is no include/cuda.h in CUDA_HOME or /usr/local/cuda",
            hint=f"install the toolkit and set CUDA_HOME, or {by_conda}",
        )
    if not (found / "include" / "curand.h").is_file() and not SETTINGS.expanduser().is_file():
        raise ProvisionError(
            f"{what} all of the CUDA toolkit, and that in {found} has no include/curand.h",
            hint=f"install it (libcurand-dev), write `CUDA_ENABLE_CURAND = False` into {SETTINGS}, or {by_conda}",
        )
    if shutil.which("c++") is None and shutil.which("g++") is None:
        raise ProvisionError(f"{what} a C++ compiler", hint=f"install g++, or {by_conda}")


def arguments(spec: Spec) -> list[str | Path]:
    """What uv is told: nothing but the sdists is built, and those with what is pinned."""
    built = set(spec.sdists)
    wheels = [name for name in sorted(spec.locked()) if name not in built]
    only_wheels: list[str | Path] = [part for name in wheels for part in ("--only-binary", name)]
    constraints = spec.build_constraints_file
    return [*only_wheels, "--build-constraints", constraints] if constraints.exists() else only_wheels


def variables() -> dict[str, str]:
    """What a build is told of the CUDA toolkit."""
    found = toolkit()
    if found is None:
        return {}
    path = f"{found / 'bin'}:{os.environ.get('PATH', '')}"
    return {"CUDA_HOME": str(found), "CUDA_ROOT": str(found), "PATH": path}
