"""The baseline of `conda.py`: rattler and uv, called directly.

    bare_conda.py lock    CHANNEL MINOR PREFIX REQUIREMENTS UV     solve, `uv pip compile`
    bare_conda.py create  CHANNEL MINOR PREFIX REQUIREMENTS UV     solve, install, `uv pip sync`, import

`create` reads no lock: rattler solves this in some milliseconds. Files are copied and bytecode is compiled, as in
isobench.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import rattler
from rattler.config import Config
from rattler.package_cache import PackageCache, ValidationMode


async def _solve(channel: str, minor: str) -> list[rattler.RepoDataRecord]:
    found = rattler.VirtualPackage.detect(rattler.VirtualPackageOverrides.from_env())
    gateway = rattler.Gateway(cache_dir=Path(os.environ["RATTLER_CACHE_DIR"]) / "repodata")
    return await rattler.solve(
        [channel], [f"python {minor}.*"], gateway=gateway, virtual_packages=[one.into_generic() for one in found]
    )


async def _install(records: list[rattler.RepoDataRecord], prefix: str) -> None:
    cache = PackageCache.new_layered(
        [Path(os.environ["RATTLER_CACHE_DIR"]) / "pkgs"], validation_mode=ValidationMode.full()
    )
    config = Config.from_toml("allow-hard-links = false")
    await rattler.install(records, prefix, config=config, package_cache=cache, show_progress=False)


def main() -> None:
    """Run, and exit at once, since rattler's threads may crash at a regular exit."""
    what, channel, minor, prefix, requirements, uv = sys.argv[1:]
    loop = asyncio.new_event_loop()
    records = loop.run_until_complete(_solve(channel, minor))
    environment = {**os.environ, "UV_LINK_MODE": "copy", "UV_PYTHON_DOWNLOADS": "never"}
    if what == "lock":
        arguments = ["pip", "compile", requirements, "--python-version", minor, "--generate-hashes", "-o", prefix]
        subprocess.run([uv, *arguments, "--quiet"], env=environment, check=True)
    else:
        loop.run_until_complete(_install(records, prefix))
        python = f"{prefix}/bin/python"
        arguments = ["pip", "sync", "--require-hashes", "--compile-bytecode", "--no-build", "--python", python]
        subprocess.run([uv, *arguments, "--quiet", requirements], env=environment, check=True)
        subprocess.run([python, "-I", "-B", "-c", "import numpy, onnxruntime, msgpack"], check=True)
    os._exit(0)


if __name__ == "__main__":
    main()
