"""The channel that the tests of the conda provider use: this machine's Python, and packages of a few bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import local_channel


def write_channel(channel: Path, staging: Path) -> None:
    """Fill a channel: `python`, `toolbox` (two versions), `gputool` for CUDA, `greeter` with activation scripts.

    Its `pip` is a stand-in: conda requires one if a spec has a `pip:` part, but nothing is installed by it.
    """
    staged = staging / "python"
    prefixed = local_channel.stage_python(staged)
    local_channel.pack(
        channel,
        staged,
        name="python",
        version=local_channel.VERSION,
        build="0_cpython",
        depends=["__glibc >=2.17", "tzdata"],
        prefixed=prefixed,
        level=1,
    )
    tiny(channel, staging, "tzdata", "2026c", {"share/zoneinfo/tests.txt": "UTC\n"})
    tiny(channel, staging, "toolbox", "1.0", {"lib/toolbox.txt": "one\n"})
    tiny(channel, staging, "toolbox", "2.0", {"lib/toolbox.txt": "two\n"})
    tiny(channel, staging, "pip", "26.0", {"share/pip.txt": "conda adds pip where there is a pip part\n"})
    tiny(channel, staging, "gputool", "1.0", {"lib/gputool.txt": "gpu\n"}, depends=("__cuda >=12",))
    tiny(
        channel,
        staging,
        "greeter",
        "1.0",
        {
            "etc/conda/activate.d/greeter.sh": 'export GREETING="hello from $CONDA_PREFIX"\n',
            "etc/conda/env_vars.d/greeter.json": '{"GREETER_MODE": "polite"}',
            "lib/greeter.txt": f"I live in {local_channel.PLACEHOLDER}\n",
        },
        prefixed=("lib/greeter.txt",),
    )
    local_channel.index(channel)


def tiny(
    channel: Path,
    staging: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    depends: tuple[str, ...] = (),
    prefixed: tuple[str, ...] = (),
) -> None:
    """Add a package of a few text files for all platforms."""
    staged = staging / f"{name}-{version}"
    for path, text in files.items():
        (staged / path).parent.mkdir(parents=True, exist_ok=True)
        (staged / path).write_text(text)
    local_channel.pack(
        channel,
        staged,
        name=name,
        version=version,
        depends=depends,
        subdir="noarch",
        noarch="generic",
        prefixed=prefixed,
    )


def environment_yml(channel: str, *dependencies: str, name: str = "tiny", platforms: tuple[str, ...] = ()) -> str:
    """The text of an `environment.yml`."""
    return textwrap.dedent("""\
        name: {name}
        channels:
          - {channel}
        platforms: [{platforms}]
        dependencies:
        {dependencies}
        """).format(
        name=name,
        channel=channel,
        platforms=", ".join(platforms or (local_channel.SUBDIR,)),
        dependencies="\n".join(f"  - {line}" for line in (f"python {local_channel.MINOR}.*", *dependencies)),
    )
