"""Installing for a container: the image is pulled and inspected, then uv installs the packages for its Python."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from isobench.environments.container import engine, images, running
from isobench.environments.container.engine import Engine
from isobench.environments.container.images import Image
from isobench.environments.install_context import InstallContext
from isobench.environments.manifest import ImageFacts, container_from_json
from isobench.environments.specs import Spec
from isobench.environments.uv import installing as uv_installing
from isobench.errors import ProvisionError
from isobench.system import process

FACTS_FILE = "container.json"

# Run by the image's interpreter: describes itself and the packages of the image.
_ASK = """
import importlib.metadata, json, os, platform, site, sys
base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
print(json.dumps({
    "python": base, "version": platform.python_version(), "implementation": platform.python_implementation(),
    "machine": os.uname().machine, "libc": " ".join(platform.libc_ver()), "folders": folders,
    "packages": sorted({(one.metadata["Name"], one.version) for one in importlib.metadata.distributions()}),
}))
"""
_PULL_TIMEOUT_S = 3600


def install(spec: Spec, image: Image, context: InstallContext) -> dict[str, str]:
    """Install the environment. See `providers.Provider.install`."""
    using = engine.find()
    found = _present(image, using, spec, context)
    about = _about(image, using, spec)
    tools = {using.name: using.version}
    if spec.locked():
        tools |= uv_installing.install(spec, context)
    _link_interpreter(context.folder, about, spec, image)
    facts = {
        "image": image.reference,
        "id": f"sha256:{found['Id'].removeprefix('sha256:')}",
        "python": about["python"],
        "libc": about["libc"],
        "packages": [{"name": name, "version": version} for name, version in about["packages"] if image.packages],
    }
    (context.folder / FACTS_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return tools


def facts(folder: Path) -> ImageFacts:
    """What is known of the image, since the environment in `folder` was installed."""
    return container_from_json(json.loads((folder / FACTS_FILE).read_bytes()))


def _present(image: Image, using: Engine, spec: Spec, context: InstallContext) -> dict[str, Any]:
    """The engine's description of the image, which is pulled if it is missing.

    Raises:
        ProvisionError: it isn't on this machine, and can't be pulled.
    """
    found = using.inspect(image.reference)
    if found is None and image.is_local:
        raise ProvisionError(
            f"{using.name} has no image {image.reference}, which the {spec.name} environment runs in",
            hint=f"Load or build it with {using.name}, or name one that can be pulled: NAME@sha256:...",
        )
    if found is None:
        context.progress(f"{spec.name}: pulling {image.reference} with {using.name} {using.version}")
        try:
            status = process.run_logged(
                [using.program, "pull", image.reference],
                env=os.environ,
                log_file=context.log_file,
                timeout_s=_PULL_TIMEOUT_S,
                pass_fds=[context.lock],
            )
        except TimeoutError as error:
            status = 1
            context.progress(str(error))
        found = using.inspect(image.reference) if status == 0 else None
    if found is None:
        raise ProvisionError(
            f"{using.name} can't pull {image.reference}, which the {spec.name} environment runs in",
            details=f"{process.tail(context.log_file)}\nlog: {context.log_file}",
            hint=f"Try it yourself: {using.name} pull {image.reference}",
        )
    return found


def _about(image: Image, using: Engine, spec: Spec) -> dict[str, Any]:
    """The image's interpreter, as it describes itself.

    Raises:
        ProvisionError: there is none, or the lock is for another.
    """
    box = running.container(using, image.reference, [image.python, "-I", "-B", "-c", _ASK])
    where = images.source(spec.folder)
    try:
        about: dict[str, Any] = json.loads(process.capture(box.argv, env=os.environ))
    except (OSError, ValueError) as error:
        box.remove()
        raise ProvisionError(
            f"{image.reference} can't run {image.python}",
            details=str(error),
            hint=f"Name an image that has it, or another interpreter, in {where}.",
        ) from None
    if not about["version"].startswith(f"{spec.python}."):
        raise ProvisionError(
            f"{image.reference} has Python {about['version']}; the {spec.name} environment is for Python {spec.python}",
            hint=f"Name an image with Python {spec.python} in {where}.",
        )
    if spec.locked() and not about["libc"].startswith("glibc"):
        raise ProvisionError(
            f"{image.reference} has no glibc, which the packages in {spec.lock_file} need",
            hint=f"Name another image in {where}: Debian's have glibc, Alpine's don't.",
        )
    return about


def _link_interpreter(folder: Path, about: dict[str, Any], spec: Spec, image: Image) -> None:
    """Make the folder a virtual environment of the image's interpreter instead of the host's."""
    site_packages = folder / "lib" / f"python{spec.python}" / "site-packages"
    site_packages.mkdir(parents=True, exist_ok=True)
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("python", "python3", f"python{spec.python}"):
        (folder / "bin" / name).unlink(missing_ok=True)
        (folder / "bin" / name).symlink_to(about["python"])
    settings = {
        "home": str(Path(about["python"]).parent),
        "implementation": about["implementation"],
        "version_info": about["version"],
        "include-system-site-packages": "false",
    }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (folder / "pyvenv.cfg").write_text(text, encoding="utf-8")
    if image.packages:
        # Not by `include-system-site-packages`: the image's interpreter may itself belong to a virtual environment.
        lines = "".join(f"import site; site.addsitedir({place!r})\n" for place in about["folders"])
        (site_packages / "isobench_image.pth").write_text(lines, encoding="utf-8")
