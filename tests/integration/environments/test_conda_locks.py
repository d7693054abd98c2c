"""`isobench env lock` where conda has a part in it: what is held on to, what is updated, and what `--check` says."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Protocol, Unpack

import pytest
from environment_world import LockOptions, World

from isobench import environments
from isobench.environments import Spec, specs
from isobench.errors import UsageError

pytestmark = pytest.mark.integration


class Lock(Protocol):
    """Locks an environment, `tiny` unless it is named; returns what changed."""

    def __call__(self, name: str = ..., **options: Unpack[LockOptions]) -> list[str]: ...


@pytest.fixture
def lock(conda: World) -> Lock:
    def lock(name: str = "tiny", **options: Unpack[LockOptions]) -> list[str]:
        return environments.lock(environments.spec(name), progress=conda.said.append, **options)

    return lock


def versions(spec: Spec) -> dict[str, str]:
    """Version by name in a conda lock, all platforms alike."""
    lines = spec.conda_lock_file.read_text().splitlines()
    return {one[8:]: two.split()[1].strip("'") for one, two in pairwise(lines) if one.startswith("- name: ")}


def test_a_committed_lock_is_left_alone_unless_it_is_asked_for(conda: World, channel: Path, lock: Lock) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox =1")
    assert versions(spec)["toolbox"] == "1.0"
    before = spec.conda_lock_file.read_bytes()
    assert lock() == []
    assert spec.conda_lock_file.read_bytes() == before


def test_a_change_of_environment_yml_holds_on_to_what_still_fits(conda: World, channel: Path, lock: Lock) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox =1")
    text = spec.environment_file.read_text()
    spec.environment_file.write_text(text.replace("toolbox =1", "toolbox") + "  - greeter\n")
    assert lock(check=True) == ["linux-64: conda-lock.yml is out of date"]
    assert lock() == ["linux-64: greeter - -> 1.0"]
    assert versions(spec)["toolbox"] == "1.0"
    assert lock(update=["toolbox"]) == ["linux-64: toolbox 1.0 -> 2.0"]
    assert lock(check=True) == []


def test_a_python_package_is_updated_by_name_and_the_rest_left_alone(conda: World, channel: Path, lock: Lock) -> None:
    spec = conda.conda_spec(channel.as_uri())
    before = spec.conda_lock_file.read_bytes()
    assert lock(update=["alpha"]) == ["requirements.txt: versions changed"]
    assert spec.lock_file.read_text() == conda.alpha_2 + conda.beta
    assert spec.conda_lock_file.read_bytes() == before


def test_a_package_that_isnt_locked_cant_be_updated(conda: World, channel: Path, lock: Lock) -> None:
    conda.conda_spec(channel.as_uri())
    with pytest.raises(UsageError, match="nonesuch isn't in a lock of tiny"):
        lock(update=["nonesuch"])


def test_upgrading_updates_everything(conda: World, channel: Path, lock: Lock) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox =1")
    spec.environment_file.write_text(spec.environment_file.read_text().replace("toolbox =1", "toolbox"))
    assert lock() == []
    assert lock(upgrade=True) == ["linux-64: toolbox 1.0 -> 2.0", "requirements.txt: versions changed"]


def test_other_platforms_are_added_to_a_lock_and_stay_in_it(conda: World, lock: Lock, tmp_path: Path) -> None:
    import conda_world
    import local_channel

    own = tmp_path / "own"
    for platform in ("linux-64", "osx-arm64"):
        staged = tmp_path / platform / "python"
        (staged / "lib").mkdir(parents=True)
        (staged / "lib" / "python.txt").write_text(platform)
        needs = "__osx >=11" if platform == "osx-arm64" else "__glibc >=2.17"
        local_channel.pack(own, staged, name="python", version="3.11.7", subdir=platform, depends=[needs])
    local_channel.index(own)
    spec = conda.spec()
    spec.environment_file.write_text(conda_world.environment_yml(own.as_uri()))
    assert lock() == ["linux-64: python - -> 3.11.7"]
    assert lock(platforms=["osx-arm64"]) == ["osx-arm64: python - -> 3.11.7"]
    assert lock(platforms=["linux-64", "osx-arm64"], check=True) == []
    text = spec.conda_lock_file.read_text()
    assert (text.count("platform: linux-64"), text.count("platform: osx-arm64")) == (1, 1)


def test_platforms_that_cant_be_are_refused(conda: World, channel: Path, lock: Lock) -> None:
    conda.conda_spec(channel.as_uri())
    with pytest.raises(UsageError, match="there is no platform 'beos'") as caught:
        lock(platforms=["beos"])
    assert caught.value.hint == "--platform takes linux-64, linux-aarch64, osx-arm64."
    conda.spec(name="plain")
    with pytest.raises(UsageError, match=r"--platform needs an environment\.yml, and plain has none"):
        lock("plain", platforms=["linux-64"])


def test_the_pip_part_of_environment_yml_becomes_the_python_layer(conda: World, channel: Path, lock: Lock) -> None:
    spec = conda.conda_spec(channel.as_uri(), lock=False)
    spec.requirements_file.unlink()
    spec.lock_file.unlink()
    spec.environment_file.write_text(spec.environment_file.read_text() + "  - pip:\n    - alpha<2\n    - beta\n")
    assert lock()[-1] == "requirements.txt: versions changed"
    assert spec.lock_file.read_text() == conda.alpha + conda.beta
    assert versions(spec).keys() == {"pip", "python", "tzdata"}
    assert lock(check=True) == []


def test_the_content_hash_is_the_one_that_conda_lock_computes(conda: World, channel: Path) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox")
    code = (
        "import pathlib, sys; from conda_lock.conda_lock import make_lock_spec, DEFAULT_MAPPING_URL\n"
        "from conda_lock.content_hash import compute_content_hashes\n"
        "from conda_lock.virtual_package import default_virtual_package_repodata\n"
        "spec = make_lock_spec(src_files=[pathlib.Path(sys.argv[1])], mapping_url=DEFAULT_MAPPING_URL)\n"
        "repo = default_virtual_package_repodata()\n"
        "with repo: print(compute_content_hashes(spec, repo)['linux-64'])"
    )
    argv = [sys.executable, "-c", code, str(spec.environment_file)]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    assert f"    linux-64: {printed}\n" in spec.conda_lock_file.read_text()


@pytest.mark.parametrize("name", ["ort", "openvino", "torch"])
def test_the_committed_locks_are_of_their_environment_yml_for_three_platforms(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISOBENCH_ENVS", raising=False)
    from isobench.environments.conda import locking

    spec = environments.spec(name)
    for platform in ("linux-64", "linux-aarch64", "osx-arm64"):
        assert locking.lock(spec, platforms=[platform], check=True, progress=print).stale == ()
    assert versions(spec)["python"].startswith("3.11.")


def test_without_conda_lock_the_extra_is_named(conda: World, channel: Path) -> None:
    """Make the child, which would load conda-lock, not find it."""
    spec = conda.conda_spec(channel.as_uri(), lock=False)
    hidden = conda.root / "hidden"
    (hidden / "conda_lock").mkdir(parents=True)
    (hidden / "conda_lock" / "__init__.py").write_text("raise ModuleNotFoundError('No module named conda_lock')\n")
    outcome = conda.isobench("lock", spec.name, PYTHONPATH=f"{hidden}:{conda.path}")
    assert outcome.returncode == 4
    assert "conda-lock, which writes the locks, isn't installed" in outcome.stderr
    assert 'hint: Install it: pip install "isobench[lock]"' in outcome.stderr


def test_checking_on_the_command_line_has_an_exit_code_for_ci(conda: World, channel: Path) -> None:
    spec = conda.conda_spec(channel.as_uri())
    assert conda.isobench("lock", "tiny", "--check").returncode == 0
    spec.environment_file.write_text(spec.environment_file.read_text() + "  - toolbox\n")
    outcome = conda.isobench("lock", "tiny", "--check")
    assert outcome.returncode == 4
    assert outcome.stderr.endswith("error: the lock is out of date: tiny\nhint: Update it: isobench env lock tiny\n")


def test_an_environment_of_ones_own_is_locked_by_its_file(conda: World, channel: Path, tmp_path: Path) -> None:
    spec = conda.conda_spec(channel.as_uri(), name="mine", lock=False)
    folder = spec.folder.rename(tmp_path / "mine")
    for file in ("python-version", "requirements.in", "requirements.txt", "smoke.py"):
        (folder / file).unlink()
    mine = specs.of_file(folder / "environment.yml")
    assert mine.relock == f"isobench env lock --file {folder / 'environment.yml'}"
    assert conda.isobench("lock", "--file", str(mine.environment_file)).returncode == 0
    made = conda.isobench("create", "--file", str(mine.environment_file))
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("mine: ")
