"""One container: what it sees of the machine, and its end.

It has no network, no privileges, and of the host's files those that it's told, at the same paths: what is to be read
is read-only. It belongs to the process that started it: a worker in it ends when its standard input does (launch.py),
`remove` ends it by force, and what a killed host leaves behind is removed by the next one (`engine`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isobench.environments.container import engine
from isobench.environments.container.engine import Engine
from isobench.environments.store import Environment
from isobench.system.facts import ContainerFacts
from isobench.workers import machine

TEMPORARY = "/isobench-tmp"
"""Where programs in a container put what they throw away: images may have no /tmp that everybody can write to."""

# What of a worker's variables means nothing inside: the host's programs and files, and a network that isn't there.
_OF_THE_HOST = ("PATH", "TMPDIR", "CC", "CXX", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
# Where libraries keep what they have downloaded: a variable, or else a folder of this name in ~/.cache.
_DOWNLOADS = {"HF_HOME": "huggingface", "TORCH_HOME": "torch"}
_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "ISOBENCH_CACHE")

_START_FAILED = {
    125: "the container can't be started",
    126: "the interpreter can't be run in the container",
    127: "there is no such interpreter in the image",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container that is to be run: the command line that does it; its name, by which it's removed."""

    engine: Engine
    name: str
    argv: tuple[str, ...]

    def remove(self) -> None:
        """End it at once, if it's still there."""
        self.engine.remove([self.name])

    @property
    def advice(self) -> str:
        """What to do where it can't be run."""
        return f"its words are above; {self.engine.name} images lists what there is, isobench env verify compares"

    def refusal(self, status: int) -> str:
        """Why nothing was run, told from the engine's exit status; "" where something was."""
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

    `reads` and `writes` are files and folders of the host that it sees. `privileged_priority` lets it raise its
    priority and bind its memory, as far as this user may.

    Raises:
        ProvisionError: there is no engine that can run it.
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


def record(environment: Environment) -> ContainerFacts:
    """What a result says of the engine and the image; on the way, what a killed host left behind is removed.

    Raises:
        ProvisionError: there is no engine.
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
    """The container of a worker, which tells its events on standard output (launch.py).

    `env` are the variables that it would see without one. It starts in `cwd`, which it may read, or in its run
    directory.

    Raises:
        ProvisionError: there is no engine that can run it.
    """
    kept = {name: value for name, value in env.items() if name not in _OF_THE_HOST and "proxy" not in name.lower()}
    caches = [Path(kept[name]) for name in _CACHES]
    for cache in caches:
        cache.mkdir(parents=True, exist_ok=True)
    user_caches = Path(kept.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 - pathlib's may raise
    downloads = [Path(kept.get(variable) or user_caches / name) for variable, name in _DOWNLOADS.items()]
    asked = json.loads(kept.get("ISOBENCH_RESOURCES", "{}"))
    # The daemon that an engine may have knows nothing of the CPUs that this process is held to.
    control = {"cpus": list(machine.cpus()), **asked}
    return of(
        environment,
        arguments,
        env={**kept, **_OFFLINE, "ISOBENCH_EVENTS": "1", "ISOBENCH_RESOURCES": json.dumps(control)},
        reads=[*reads, *downloads, *([cwd] if cwd else [])],
        writes=[run_dir, *writes, *caches],
        folder=cwd if cwd and _is_deep(cwd) else run_dir,
        privileged_priority=asked.get("nice", 0) < 0 or "memory_nodes" in asked,
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
    """A container of an image that is there; `further` are the engine's own options."""
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

    A folder at the top (/tmp, /root) would hide the image's own: of those, only what is named in them is seen.
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
