"""Environments in containers, as far as no engine is needed: which image, which engine, what a container may see."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from isobench import environments, paths
from isobench.cli import env as cli_env
from isobench.environments import choice, store
from isobench.environments.container import engine, images, running
from isobench.errors import ProvisionError, UsageError

DIGEST = f"sha256:{'a1' * 32}"
PINNED = f"docker.io/library/python@{DIGEST}"


@pytest.fixture(autouse=True)
def _nothing_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ISOBENCH_CONTAINER_IMAGE", "ISOBENCH_CONTAINER_ENGINE", "ISOBENCH_PROVIDER", "ISOBENCH_ENVS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no-programs").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


def image_of(folder: Path, text: str) -> images.Image:
    folder.mkdir(exist_ok=True)
    (folder / "container.toml").write_text(text)
    return images.of("mine", folder, "3.11")


def test_container_toml_names_an_image_by_its_digest(tmp_path: Path) -> None:
    image = image_of(tmp_path / "mine", f'image = "{PINNED}"\n')
    assert image == images.Image(reference=PINNED, python="python3.11", packages=False)
    assert (image.digest, image.is_local) == (DIGEST, False)
    image = image_of(tmp_path / "mine", f'image = "{DIGEST}"\npython = "/opt/venv/bin/python"\nimage_packages = true\n')
    assert image == images.Image(reference=DIGEST, python="/opt/venv/bin/python", packages=True)
    assert (image.digest, image.is_local) == (DIGEST, True)


def test_a_tag_beside_the_digest_decides_nothing_and_a_port_is_no_tag(tmp_path: Path) -> None:
    tagged = image_of(tmp_path / "mine", f'image = "localhost:5000/team/python:3.11-slim@{DIGEST}"\n')
    assert tagged.reference == f"localhost:5000/team/python@{DIGEST}"


@pytest.mark.usefixtures("no_engine")
def test_a_tag_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"container\.toml: python:3\.11-slim has no digest.*may change") as caught:
        image_of(tmp_path / "mine", 'image = "python:3.11-slim"\n')
    assert "NAME@sha256:..." in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image = ", "can't be read"),
        ('image = "no image at all"', "'no image at all' is not an image"),
        (f'image = "{PINNED}"\npyton = "python3"', "unknown key 'pyton'"),
        (f'image = "{PINNED}"\nimage_packages = "yes"', "image_packages must be true or false, got 'yes'"),
        ("image = 3", "image must be a string, got 3"),
        ('python = "python3"', "no container image is configured for the mine environment"),
    ],
)
def test_what_container_toml_says_is_checked(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        image_of(tmp_path / "mine", text)
    assert caught.value.hint


def test_one_image_can_be_set_up_for_all_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no container image is configured for the ort environment") as caught:
        replace(environments.spec("ort"), provider="container").identity()
    assert "ISOBENCH_CONTAINER_IMAGE" in caught.value.hint
    file = tmp_path / "config" / "isobench" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'container_image = "{PINNED}"\n')
    image = replace(environments.spec("ort"), provider="container").image
    assert image is not None
    assert image.reference == PINNED
    monkeypatch.setenv("ISOBENCH_CONTAINER_IMAGE", DIGEST)
    image = replace(environments.spec("ort"), provider="container").image
    assert image is not None
    assert image.reference == DIGEST


def test_the_image_is_part_of_the_identity_and_its_name_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(reference: str) -> str:
        monkeypatch.setenv("ISOBENCH_CONTAINER_IMAGE", reference)
        return replace(environments.spec("ort"), provider="container").identity()

    assert identity(PINNED) == identity(f"mirror.example/python@{DIGEST}") == identity(DIGEST)
    assert identity(PINNED) != identity(f"docker.io/library/python@sha256:{'b2' * 32}")
    assert environments.spec("ort").identity() not in {identity(PINNED), ""}


def test_an_image_may_be_all_that_there_is_and_then_auto_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "envs" / "vendor"
    folder.mkdir(parents=True)
    (folder / "python-version").write_text("3.11\n")
    (folder / "container.toml").write_text(f'image = "{PINNED}"\nimage_packages = true\n')
    monkeypatch.setenv("ISOBENCH_ENVS", str(folder.parent))
    spec = choice.choose(environments.spec("vendor"), note=print)
    assert spec.provider == "container"
    assert (spec.locked(), spec.lock_sha256) == ({}, "")
    expected = store.expected(spec)
    assert expected.image == PINNED
    assert expected.folder.name.startswith("vendor-container-")
    assert [one.provider for one in choice.installable(environments.spec("vendor"))] == ["container"]
    [row] = [row for row in cli_env._rows() if row["name"] == "vendor"]
    assert (row["state"], row["provider"]) == ("not made", "container")
    (folder / "requirements.in").write_text("numpy\n")
    with pytest.raises(ProvisionError, match="the vendor environment isn't locked"):
        replace(environments.spec("vendor"), provider="container").identity()


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_it_says_what_to_install() -> None:
    with pytest.raises(ProvisionError, match="podman isn't installed; docker isn't installed") as caught:
        engine.find()
    assert "apt-get install podman" in caught.value.hint


def test_an_engine_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_CONTAINER_ENGINE", "lxc")
    with pytest.raises(UsageError, match=r"there is no container engine 'lxc' \(ISOBENCH_CONTAINER_ENGINE\)") as caught:
        engine.find()
    assert "podman, docker" in caught.value.hint


def test_a_docker_without_its_daemon_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("ISOBENCH_CONTAINER_ENGINE", "docker")
    with pytest.raises(ProvisionError, match=r"docker can't be used: .*Cannot connect to the Docker daemon"):
        engine.find()


def an_engine(name: str = "podman", *, rootless: bool = False) -> engine.Engine:
    return engine.Engine(name=name, program=Path("/usr/bin") / name, version="1", rootless=rootless)


def test_a_container_has_no_network_no_privileges_and_the_users_own_number() -> None:
    argv = running.container(an_engine(), DIGEST, ["python3", "-c", "pass"]).argv
    assert {"--rm", "--network=none", "--cap-drop=ALL", "--pull=never", "--entrypoint=python3"} <= set(argv)
    assert f"--user={os.getuid()}:{os.getgid()}" in argv
    assert argv[-3:] == (DIGEST.removeprefix("sha256:"), "-c", "pass")
    assert "--userns=keep-id" in running.container(an_engine(rootless=True), DIGEST, ["python3"]).argv
    assert "--user=0:0" in running.container(an_engine("docker", rootless=True), DIGEST, ["python3"]).argv


def test_gpus_are_asked_for_as_each_engine_wants_it() -> None:
    assert an_engine("podman").gpus() == ["--device=nvidia.com/gpu=all"]
    assert an_engine("docker").gpus() == ["--gpus=all"]


def test_what_is_read_is_read_only_and_no_folder_hides_the_images_own(tmp_path: Path) -> None:
    script = tmp_path / 'a, "b"' / "model.py"
    script.parent.mkdir()
    script.touch()
    options = running.mounts([Path("/tmp"), script.parent, tmp_path / "gone"], [tmp_path])
    quoted = str(script.parent).replace('"', '""')
    assert options == [
        f"--mount=type=bind,source={tmp_path},target={tmp_path}",
        f'--mount=type=bind,"source={quoted}","target={quoted}",readonly',
    ]


def test_a_containers_name_shows_whether_its_host_process_is_gone() -> None:
    mine = engine.new_name()
    assert not engine._is_orphan(mine)
    with subprocess.Popen(["/bin/true"]) as ended:
        pass
    where = paths.owner().rsplit("-", 2)[0]
    assert engine._is_orphan(f"isobench-{where}-{ended.pid}-12345-abcdef")
    assert engine._is_orphan(f"isobench-{where}-{os.getpid()}-1-abcdef"), "another process has the number now"
    assert not engine._is_orphan(f"isobench-00000000-1-{ended.pid}-12345-abcdef"), (
        "its process may live on another machine"
    )
    assert not engine._is_orphan("isobench-of-somebody-else")
