"""One container: what it sees of the machine, and how it ends.

It has no network, no privileges, and of the host's files only those that it is given, at the same paths, read-only
unless it must write them. It belongs to the process that started it: a worker in it ends when its standard input does
(launch.py), `remove` kills it, and the next host removes what a killed one has left behind (`engine`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from isobench.environments.container import engine
from isobench.environments.container.engine import Engine
from isobench.environments.store import Environment
from isobench.record import record
from isobench.system.facts import ContainerFacts
from isobench.workers import machine

TEMPORARY = "/isobench-tmp"
"""The folder for temporary files in a container: an image may have no /tmp that everybody can write to."""

# Variables of a worker that mean nothing inside: the host's programs and files, and the network.
_OF_THE_HOST = (
    *("PATH", "TMPDIR", "CC", "CXX", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    *("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "CUDA_CACHE_PATH"),
)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
# Where libraries store their downloads: a variable, or else a folder of this name in ~/.cache.
_DOWNLOADS = {"HF_HOME": "huggingface", "TORCH_HOME": "torch"}
_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "ISOBENCH_CACHE")

_START_FAILED = {
    125: "the container can't be started",
    126: "the interpreter can't be run in the container",
    127: "there is no such interpreter in the image",
}


@record(frozen=True, slots=True, kw_only=True)
class Container:
    """One container: the command line that runs it, and its name, by which it is removed."""

    engine: Engine
    name: str
    argv: tuple[str, ...]

    def remove(self) -> None:
        """Kill and remove it, if it still exists."""
        self.engine.remove([self.name])

    @property
    def advice(self) -> str:
        """What to do if it can't be run."""
        return (
            f"See its output above; list the images with `{self.engine.name} images`, check with `isobench env verify`."
        )

    def refusal(self, status: int) -> str:
        """Why the engine, by its exit status, didn't run anything; "" if it did."""
        return f"{self.engine.name}: {_START_FAILED[status]}" if status in _START_FAILED else ""


def of(
    environment: Environment,
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    reads: Iterable[Path] = (),
    writes: Iterable[Path] = (),
    folder: Path | None = None,
    privileged_priority: bool = False,
    gpus: bool = False,
) -> Container:
    """A container in which the environment's interpreter is run with `arguments`; it starts in `folder`.

    `reads` and `writes` are files and folders of the host that it sees. `privileged_priority` allows it to raise its
    priority and bind its memory, as far as this user may.

    Raises:
        ProvisionError: no engine is available.
    """
    using = engine.find()
    return container(
        using,
        environment.image,
        [environment.python, *arguments],
        env=env,
        reads=[environment.folder, *reads],
        writes=writes,
        folder=folder,
        further=[
            *(["--cap-add=SYS_NICE"] if privileged_priority else []),
            *(using.gpus() if gpus else []),
        ],
    )


def container_record(environment: Environment) -> ContainerFacts:
    """The engine and the image, for the result; containers that a killed host left behind are removed on the way.

    Raises:
        ProvisionError: no engine is available.
    """
    using = engine.find()
    using.remove_leftovers()
    facts = environment.manifest().container
    assert facts is not None, "the environment has an image"
    return ContainerFacts(
        engine=using.name,
        version=using.version,
        rootless=using.rootless,
        image=facts.image,
        id=facts.id,
        libc=facts.libc,
    )


def for_worker(
    environment: Environment,
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    run_dir: Path,
    cwd: Path | None,
    reads: Iterable[Path],
    writes: Iterable[Path],
    gpus: bool,
) -> Container:
    """The container of a worker, which sends its events on standard output (launch.py).

    `env` are the variables that it would see without one. It starts in `cwd`, which it may read, or in its run
    directory.

    Raises:
        ProvisionError: no engine is available.
    """
    inside = {name: value for name, value in env.items() if name not in _OF_THE_HOST and "proxy" not in name.lower()}
    caches = [Path(inside[name]) for name in _CACHES]
    for cache in caches:
        cache.mkdir(parents=True, exist_ok=True)
    user_caches = Path(inside.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 - pathlib's may raise
    downloads = [Path(inside.get(variable) or user_caches / name) for variable, name in _DOWNLOADS.items()]
    requested = json.loads(inside.get("ISOBENCH_RESOURCES", "{}"))
    # An engine's daemon doesn't know which CPUs this process is restricted to.
    resources = {"cpus": list(machine.cpus()), **requested}
    return of(
        environment,
        arguments,
        env={
            **inside,
            **_OFFLINE,
            "ISOBENCH_EVENTS": "1",
            "ISOBENCH_NETWORK": "none",
            "ISOBENCH_RESOURCES": json.dumps(resources),
        },
        reads=[*reads, *downloads, *([cwd] if cwd else [])],
        writes=[run_dir, *writes, *caches],
        folder=cwd if cwd and _is_deep(cwd) else run_dir,
        privileged_priority=requested.get("nice", 0) < 0 or "memory_nodes" in requested,
        gpus=gpus,
    )


def container(
    using: Engine,
    image: str,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    reads: Iterable[Path] = (),
    writes: Iterable[Path] = (),
    folder: Path | None = None,
    further: Sequence[str] = (),
) -> Container:
    """A container of an image that is on this machine; `further` are more options of the engine."""
    name = engine.new_name()
    program, *arguments = (os.fspath(part) for part in command)
    argv = [
        str(using.program),
        "run",
        "--rm",
        "--interactive",
        f"--name={name}",
        f"--label={engine.LABEL}",
        "--pull=never",
        "--network=none",
        "--log-driver=none",
        "--no-healthcheck",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--security-opt=label=disable",
        *(["--http-proxy=false"] if using.name == "podman" else []),
        *using.user(),
        *further,
        f"--tmpfs={TEMPORARY}:exec,mode=1777",
        *mounts(reads, writes),
        *(f"--env={key}={value}" for key, value in {**(env or {}), "TMPDIR": TEMPORARY}.items()),
        f"--workdir={folder or '/'}",
        f"--entrypoint={program}",
        image.removeprefix("sha256:"),
        *arguments,
    ]
    return Container(engine=using, name=name, argv=tuple(argv))


def mounts(reads: Iterable[Path], writes: Iterable[Path]) -> list[str]:
    """The options by which a container sees files and folders of the host, at the paths that they have there.

    A top-level folder (/tmp, /root) would hide the image's own: of those, only files and folders in them are mounted.
    """
    writable = dict.fromkeys(path for path in writes if path.exists())
    readable = dict.fromkeys(path for path in reads if path.exists() and path not in writable)
    seen = [path for path in (*readable, *writable) if _is_deep(path) or path.is_file()]
    return [_mount(path, writable=path in writable) for path in sorted(seen, key=lambda path: len(path.parts))]


def _is_deep(folder: Path) -> bool:
    return len(folder.parts) > 2


def _mount(path: Path, *, writable: bool) -> str:
    # The option's value is a row of CSV.
    fields = ["type=bind", f"source={path}", f"target={path}", *([] if writable else ["readonly"])]
    quoted = (f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"\n') else field for field in fields)
    return f"--mount={','.join(quoted)}"
