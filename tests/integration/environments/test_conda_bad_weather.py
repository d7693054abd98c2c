"""What goes wrong with channels, locks, disks and machines: each time one clear message, and the way out."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from environment_world import World
from loopback import ChannelServer

from isobench import environments
from isobench.environments import Spec
from isobench.environments.conda import locking as conda_locks
from isobench.errors import ProvisionError

pytestmark = pytest.mark.integration


@pytest.fixture
def dead() -> Iterator[str]:
    """An address on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/channel"


@pytest.fixture
def bare(conda: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with an empty package cache."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda.root / "bare-cache"))
    return conda


def locking_fails(world: World, channel: str, *dependencies: str) -> tuple[str, ProvisionError]:
    spec = world.conda_spec(channel, *dependencies, lock=False)
    with pytest.raises(ProvisionError) as caught:
        conda_locks.lock(spec, progress=world.said.append)
    assert caught.value.message.startswith("the conda packages of tiny can't be locked: ")
    assert not spec.conda_lock_file.exists()
    return caught.value.message.partition(" locked: ")[2], caught.value


def creating_fails(world: World, spec: Spec) -> tuple[str, ProvisionError]:
    with pytest.raises(ProvisionError) as caught:
        world.create(spec)
    assert environments.find(spec) is None
    assert not [name for name in world.left() if not name.endswith(".log")]
    return caught.value.message.partition("can't be installed: ")[2], caught.value


def moved(spec: Spec, old: str, new: str) -> Spec:
    """The spec with another address in its lock."""
    text = spec.conda_lock_file.read_text()
    assert old in text
    spec.conda_lock_file.write_text(text.replace(old, new))
    return replace(environments.spec("tiny"), provider="conda")


def test_a_dead_channel_is_reported_when_locking(conda: World, dead: str) -> None:
    why, error = locking_fails(conda, dead)
    assert why == "conda channel unreachable"
    assert "Connection refused" in error.details
    assert error.hint.startswith("Check the network, the proxy and rattler's mirrors")


def test_a_dead_channel_is_reported_when_creating(bare: World, server: ChannelServer, dead: str) -> None:
    spec = bare.conda_spec(server.url("none"))
    why, error = creating_fails(bare, moved(spec, server.url("none"), dead))
    assert why == "conda channel unreachable"
    assert error.hint.endswith("or do without the channel: --provider venv")


def test_a_channel_that_hangs_is_given_up_when_locking(
    conda: World, server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOBENCH_CHANNEL_TIMEOUT", "3")
    why, error = locking_fails(conda, server.url("hang"))
    assert why == "conda channel unreachable: no progress for 3 s while it was solving for linux-64"
    assert error.hint.startswith("Wait longer with ISOBENCH_CHANNEL_TIMEOUT=300, or check the network")


def test_a_channel_that_hangs_is_given_up_when_creating(
    bare: World, server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = bare.conda_spec(server.url("none"))
    monkeypatch.setenv("ISOBENCH_CHANNEL_TIMEOUT", "3")
    why, _ = creating_fails(bare, moved(spec, "/none/", "/hang/"))
    assert why.startswith("conda channel unreachable: no progress for 3 s while it was ")


def test_a_package_that_was_withdrawn_is_reported(bare: World, server: ChannelServer) -> None:
    why, error = creating_fails(bare, moved(bare.conda_spec(server.url("none")), "/none/", "/missing/"))
    assert why == "the conda channel doesn't have a file (404)"
    assert error.hint == "Check the channel's address. If a package was withdrawn, lock again: isobench env lock tiny"


def test_a_channel_that_isnt_one_is_reported(conda: World, tmp_path: Path) -> None:
    why, error = locking_fails(conda, tmp_path.as_uri())
    assert why.startswith(f"there is no conda channel at {tmp_path.as_uri()}")
    assert error.hint == "Check the channel's address."


def test_another_file_than_the_locked_one_is_refused_over_http(bare: World, server: ChannelServer) -> None:
    why, error = creating_fails(bare, moved(bare.conda_spec(server.url("none")), "/none/", "/swapped/"))
    assert why == "hash mismatch: the channel has another file than the lock"
    assert error.hint.startswith("Find out why before you trust it")


def test_another_file_than_the_locked_one_is_refused_in_a_folder(bare: World, channel: Path, tmp_path: Path) -> None:
    own = tmp_path / "own-channel"
    shutil.copytree(channel, own)
    spec = bare.conda_spec(own.as_uri(), "toolbox")
    swapped = own / "noarch" / "toolbox-2.0-0.conda"
    swapped.write_bytes((own / "noarch" / "toolbox-1.0-0.conda").read_bytes())
    why, error = creating_fails(bare, spec)
    assert why.startswith(f"hash mismatch: {swapped} has the SHA-256 ")
    assert error.hint.startswith("Find out why before you trust it")


def test_a_truncated_archive_is_refused_over_http(bare: World, server: ChannelServer) -> None:
    why, error = creating_fails(bare, moved(bare.conda_spec(server.url("none")), "/none/", "/short/"))
    assert why == "an archive is truncated"
    assert error.hint.startswith("Try again")


def test_a_truncated_archive_is_refused_in_a_folder(bare: World, channel: Path, tmp_path: Path) -> None:
    own = tmp_path / "own-channel"
    shutil.copytree(channel, own)
    spec = bare.conda_spec(own.as_uri(), "toolbox")
    cut = own / "noarch" / "toolbox-2.0-0.conda"
    cut.write_bytes(cut.read_bytes()[:300])
    why, _ = creating_fails(bare, spec)
    assert why.startswith("hash mismatch: ")


def test_a_folder_that_lost_an_archive_is_reported(bare: World, channel: Path, tmp_path: Path) -> None:
    own = tmp_path / "own-channel"
    shutil.copytree(channel, own)
    spec = bare.conda_spec(own.as_uri(), "toolbox")
    (own / "noarch" / "toolbox-2.0-0.conda").unlink()
    why, _ = creating_fails(bare, spec)
    assert why == "a file of the conda channel does not exist"


def test_what_cant_be_solved_comes_with_the_solvers_explanation(conda: World, channel: Path) -> None:
    why, error = locking_fails(conda, channel.as_uri(), "toolbox >=9")
    assert why == "no packages satisfy all requirements"
    assert "No candidates were found for toolbox >=9" in error.details
    assert error.hint.startswith("Loosen the requirements that the solver names, in ")


def test_a_missing_cuda_driver_is_reported_when_locking_with_the_way_around_it(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "")
    why, error = locking_fails(conda, channel.as_uri(), "gputool")
    assert why == "no packages satisfy all requirements: __cuda (an NVIDIA driver) is missing"
    assert "__cuda >=12" in error.details
    assert error.hint == ("Lock for a machine that has one: CONDA_OVERRIDE_CUDA=12.9 isobench env lock tiny")


def test_a_missing_cuda_driver_is_reported_when_creating(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.9")
    spec = conda.conda_spec(channel.as_uri(), "gputool")
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "11.8")
    why, _ = creating_fails(conda, spec)
    assert why == "gputool needs __cuda >=12; this machine has 11.8"
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "")
    why, error = creating_fails(conda, spec)
    assert why == "gputool needs __cuda >=12; this machine has none"
    assert "CONDA_OVERRIDE_CUDA=12.9" in error.hint


def test_a_dependency_that_is_none_is_reported(conda: World, channel: Path) -> None:
    why, error = locking_fails(conda, channel.as_uri(), "toolbox >=1,<")
    assert "can't" in why
    assert error.hint.startswith("Fix ")


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("channels: [x\n", "environment.yml is not YAML"),
        ("- a\n", "environment.yml has no list of dependencies"),
        ("channels: [x]\ndependencies: python 3.11\n", "environment.yml has no list of dependencies"),
        ("dependencies: [python 3.11.*]\n", "environment.yml names no channels"),
    ],
)
def test_a_damaged_environment_yml_is_reported(conda: World, channel: Path, text: str, reported: str) -> None:
    spec = conda.conda_spec(channel.as_uri(), lock=False)
    spec.environment_file.write_text(text)
    with pytest.raises(ProvisionError, match=reported) as caught:
        conda_locks.lock(spec, progress=conda.said.append)
    assert caught.value.hint == f"Fix {spec.environment_file}."


@pytest.mark.parametrize("address", ["https://me:secret@example.org/channel", "https://example.org/t/secret/channel"])
def test_a_channel_address_with_a_password_is_refused_and_not_repeated(conda: World, address: str) -> None:
    why, error = locking_fails(conda, address)
    assert why == "the address of a channel contains a password or a token, which the lock would reveal"
    assert "secret" not in error.message + error.details + error.hint


def test_a_lock_for_another_platform_is_refused(conda: World, channel: Path) -> None:
    spec = conda.conda_spec(channel.as_uri())
    moved(spec, "platform: linux-64", "platform: osx-arm64")
    why, error = creating_fails(conda, moved(spec, "- linux-64", "- osx-arm64"))
    assert why == "the lock is for osx-arm64, not for linux-64"
    assert error.hint == "Resolve it again: isobench env lock tiny"


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("version: '2.0'", "version: '1.0'", "toolbox-1.0-0 has the file toolbox-2.0-0.conda"),
        ("    tzdata: ''", "    tzdata: '>=2030'", "tzdata"),
        ("- name: tzdata", "- name: tzdate", "tzdate-2026c-0 has the file"),
    ],
)
def test_a_lock_changed_by_hand_is_refused(conda: World, channel: Path, old: str, new: str, reported: str) -> None:
    why, error = creating_fails(conda, moved(conda.conda_spec(channel.as_uri(), "toolbox"), old, new))
    assert why == "the lock is inconsistent"
    assert reported in error.details
    assert error.hint == "Resolve it again: isobench env lock tiny"


def test_a_hash_changed_by_hand_is_refused(bare: World, channel: Path) -> None:
    spec = bare.conda_spec(channel.as_uri(), "toolbox")
    sha256 = next(line for line in spec.conda_lock_file.read_text().splitlines() if "sha256:" in line).split()[1]
    why, _ = creating_fails(bare, moved(spec, sha256, "0" * 64))
    assert why.startswith("hash mismatch: ")


@pytest.mark.parametrize("text", ["", "version: 1\n", "version: 1\npackage: [", "hello\n"])
def test_a_damaged_lock_is_reported(conda: World, channel: Path, text: str) -> None:
    spec = conda.conda_spec(channel.as_uri())
    spec.conda_lock_file.write_text(text)
    why, error = creating_fails(conda, replace(environments.spec("tiny"), provider="conda"))
    assert why == "the lock is damaged"
    assert error.hint == "Resolve it again: isobench env lock tiny"


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_cache_that_cant_be_written_to_is_reported(
    conda: World, channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = conda.conda_spec(channel.as_uri())
    with disk(tmp_path / "disk", "ro") as folder:
        monkeypatch.setenv("RATTLER_CACHE_DIR", str(folder / "cache"))
        why, error = creating_fails(conda, spec)
    assert why == "a folder isn't writable, or a file isn't readable"
    assert error.hint == "Set ISOBENCH_HOME to a folder that you can write to."


def test_a_full_disk_is_reported_and_leaves_nothing(
    conda: World, channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = conda.conda_spec(channel.as_uri())
    with disk(tmp_path / "disk", "size=12m") as folder:
        monkeypatch.setenv("ISOBENCH_HOME", str(folder))
        why, error = creating_fails(conda, spec)
    assert why == "the disk is full"
    assert error.hint == "Free some space, or set ISOBENCH_HOME to a folder on another disk."
