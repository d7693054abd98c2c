"""Containers without a registry: an engine with its own configuration, and an image built from this machine's files.

The image holds the running CPython, at another path than on this machine, and the libraries that it and the wheels of
the locks are linked to. Nothing else: no shell, no /tmp, no /etc.
"""

from __future__ import annotations

import http.server
import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isobench import environments
from isobench.environments import Environment
from isobench.supervisor import worker_process
from isobench.supervisor.request import Request
from isobench.workers import protocol

SAMPLES = Path(__file__).parents[1] / "samples" / "workers"
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = f"/opt/inside/bin/python{MINOR}"
IN_IMAGE = "isobench-in-image"
"""A Python package that only the image has; the module is called `in_image`."""
_LEFT_OUT = {
    "__pycache__",
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
    "pydoc_data",
}
# Wheels are linked to these, and contain none of them.
_FOR_WHEELS = ("libstdc++.so.6", "libgcc_s.so.1", "libpthread.so.0", "librt.so.1", "libdl.so.2", "libutil.so.1")


def configured(folder: Path) -> dict[str, str]:
    """The variables by which podman stores everything in `folder`, apart from the user's own images and containers."""
    folder.mkdir(parents=True, exist_ok=True)
    # As on a CI machine: limits can't be raised, and there may be no systemd for control groups.
    runtime = 'runtime = "runc"\n' if shutil.which("runc") else ""
    (folder / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        f'[engine]\n{runtime}cgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
    )
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "ISOBENCH_CONTAINER_ENGINE": "podman",
    }


def made(archive: Path) -> str:
    """Build the image with the configured podman; return its ID, "sha256:...".

    Raises:
        OSError: podman failed; the message says why.
    """
    _write(archive)
    change = [f"--change=ENV=PATH={Path(PYTHON).parent}:/bin", '--change=ENTRYPOINT ["/there/is/none"]']
    identity = _podman("import", *change, str(archive), "isobench-test:latest").split()[-1]
    return f"sha256:{identity.removeprefix('sha256:')}"


def digest_of(identity: str) -> str:
    """The image's name with its digest: "localhost/isobench-test@sha256:..."."""
    found = json.loads(_podman("image", "inspect", identity))[0]
    return f"localhost/isobench-test@{found['Digest']}"


def containers() -> list[str]:
    """The names of all containers, running or not."""
    return _podman("ps", "--all", "--format={{.Names}}").split()


def forget_images() -> None:
    """Remove all images."""
    _podman("rmi", "--all", "--force")


@contextmanager
def registry(identity: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A registry on this machine that has the image; yields the image's name in it, and the list of requested paths.

    It answers every request for a manifest with the same one, whichever digest is requested.
    """
    _podman("save", "--format=oci-dir", f"--output={folder}/saved", identity.removeprefix("sha256:"))
    digest = json.loads((folder / "saved" / "index.json").read_bytes())["manifests"][0]["digest"]
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            _, kind, wanted = ("", *self.path.split("/"))[-3:]
            blob = (digest if kind == "manifests" else wanted).rpartition(":")[2]
            data = (folder / "saved" / "blobs" / "sha256" / blob).read_bytes() if blob else b"{}"
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            if kind == "manifests":
                self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - the base class's way

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, pytest.MonkeyPatch.context() as patch:
        place = f"127.0.0.1:{server.server_port}"
        (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{place}"\ninsecure = true\n')
        patch.setenv("CONTAINERS_REGISTRIES_CONF", str(folder / "registries.conf"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{place}/team/inside@{digest}", asked
        finally:
            server.shutdown()


@contextmanager
def docker_api() -> Iterator[str]:
    """podman, serving docker's API; yields the value for DOCKER_HOST."""
    with tempfile.TemporaryDirectory() as folder:  # a short path: a socket's has a limit
        socket = Path(folder) / "docker.sock"
        command = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:
            try:
                yield _once_there(socket)
            finally:
                service.terminate()


def write_spec(folder: Path, image: str, **further: str | bool) -> None:
    """Write an environment's folder: its Python version, and a `container.toml` with these keys."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "python-version").write_text(f"{MINOR}\n")
    keys = {"image": image, **further}
    (folder / "container.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))


def create(name: str) -> Environment:
    spec = environments.choose(environments.spec(name), note=print)
    return environments.create(spec, progress=print)


class Run:
    """Runs a sample worker in a container."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.run_dir = folder / "run"
        self.stages: list[str] = []

    def __call__(self, script: str | Path, *, timeout_s: float = 60, **given: Any) -> dict[str, Any]:
        script = SAMPLES / f"{script}.py" if isinstance(script, str) else script
        with worker_process.start(self.environment, script, self.run_dir, threads=1, **given) as process:
            arguments = {
                "output_dir": str(self.run_dir),
                "onnx_file": "",
                "iterations": 3,
                "outputs_file": str(self.run_dir / protocol.OUTPUTS_FILE),
            }
            process.go(Request(arguments=arguments, threads=1, seed=0), timeout_s=timeout_s)
            return dict(process.finish(self.stages.append).raw)


def _once_there(socket: Path) -> str:
    deadline = time.monotonic() + 30
    while not socket.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return f"unix://{socket}"


def _podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


def _write(archive: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    place = f"opt/inside/lib/python{MINOR}"
    interpreter = Path(sys.executable).resolve()

    def selected(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        return None if _LEFT_OUT & set(Path(member.name).parts) else member

    with tarfile.open(archive, "w") as tar:
        tar.add(library, place, filter=selected)
        tar.add(interpreter, PYTHON.removeprefix("/"))
        for path in sorted(_libraries([interpreter, *library.glob("lib-dynload/*.so")])):
            tar.addfile(*_content(path.lstrip("/"), Path(path).read_bytes(), mode=0o755))
        metadata = f"Metadata-Version: 2.1\nName: {IN_IMAGE}\nVersion: 7.1\n"
        # Debian's own Python reads the second.
        for packages in (f"{place}/site-packages", "opt/inside/lib/python3/dist-packages"):
            tar.addfile(*_content(f"{packages}/in_image.py", b"ANSWER = 42\n"))
            tar.addfile(*_content(f"{packages}/isobench_in_image-7.1.dist-info/METADATA", metadata.encode()))


def _content(name: str, data: bytes, mode: int = 0o644) -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    return member, io.BytesIO(data)


def _libraries(programs: list[Path]) -> set[str]:
    """The paths of the shared libraries that programs are linked to, and of the loader."""
    output = subprocess.run(["ldd", *map(str, programs)], check=False, capture_output=True, text=True).stdout
    found = set(re.findall(r"(/\S+) \(0x", output))
    folders = sorted({Path(path).parent for path in found} | {Path("/usr/lib/x86_64-linux-gnu")})
    there = [folder / name for name in _FOR_WHEELS for folder in folders if (folder / name).exists()]
    return found | set(map(str, there))
