"""The images that environments run in: named by their digest, pulled, looked at."""

from __future__ import annotations

from pathlib import Path

import container_world
import pytest

from isobench import environments
from isobench.environments import Environment, verification
from isobench.environments.manifest import ImagePackage
from isobench.errors import IsobenchError, ProvisionError

pytestmark = pytest.mark.integration


def test_the_images_own_packages_can_be_used_and_are_written_down(image: str, home: Path, tmp_path: Path) -> None:
    container_world.write_spec(tmp_path / "envs" / "vendor", image, image_packages=True, python="python3.11")
    (tmp_path / "envs" / "vendor" / "smoke.py").write_text("import in_image\nassert in_image.ANSWER == 42\n")
    environment = container_world.create("vendor")
    manifest = environment.manifest()
    assert manifest.image_packages == (ImagePackage(name="isobench-in-image", version="7.1"),)
    assert environment.image == image
    assert manifest.python.interpreter.path == container_world.PYTHON
    assert container_world.create("vendor") == environment
    (tmp_path / "envs" / "bare" / "smoke.py").write_text("import in_image\n")
    with pytest.raises(ProvisionError, match="its smoke test") as caught:
        container_world.create("bare")
    assert "No module named 'in_image'" in caught.value.details
    assert container_world.containers() == []


def test_an_image_by_its_digest_is_the_same_by_its_name(image: str, home: Path, tmp_path: Path) -> None:
    named = container_world.digest_of(image)
    container_world.write_spec(tmp_path / "envs" / "named", named)
    assert container_world.create("named").image == named


def test_an_image_is_pulled_once_and_only_what_its_digest_says(image: str, home: Path, tmp_path: Path) -> None:
    with container_world.registry(image, tmp_path) as (reference, asked):
        container_world.write_spec(tmp_path / "envs" / "pulled", reference)
        assert container_world.create("pulled").image == reference
        assert any("/team/inside/manifests/sha256:" in path for path in asked)
        asked.clear()
        environments.remove("pulled")
        container_world.create("pulled")
        assert asked == []
        other = f"{reference.partition('@')[0]}@sha256:{'0' * 64}"
        container_world.write_spec(tmp_path / "envs" / "forged", other)
        with pytest.raises(ProvisionError, match=r"podman can't pull 127\.0\.0\.1") as caught:
            container_world.create("forged")
        assert "digest" in caught.value.details


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ({"image": f"sha256:{'0' * 64}"}, "podman has no image sha256:000", "Load or build it with podman"),
        ({"image": f"localhost:1/none@sha256:{'0' * 64}"}, "podman can't pull localhost:1/none@", "podman pull"),
        ({"python": "python2.7"}, "can't run python2.7", "container.toml"),
        ({"version": "3.12"}, r"has Python 3\.11.*; the odd environment is for Python 3\.12", "with Python 3.12"),
        ({"image": "isobench-test:latest"}, "isobench-test:latest has no digest", "On this machine it is"),
    ],
)
def test_an_image_that_does_not_do_is_refused(
    said: dict[str, str], message: str, hint: str, image: str, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "envs" / "odd"
    version = said.pop("version", "")
    container_world.write_spec(folder, **{"image": image, "python": container_world.PYTHON, **said})
    if version:
        (folder / "python-version").write_text(version)
    with pytest.raises(IsobenchError, match=message) as caught:
        container_world.create("odd")
    assert hint in caught.value.hint
    assert container_world.containers() == []
    assert list((home / "environments").glob("odd-*/*")) == []


def test_an_environment_in_a_container_is_compared_as_any_other(bare: Environment) -> None:
    verification.check(bare)
    assert verification.verify(bare) == []
    (bare.site_packages / "sitecustomize.py").write_text("print('here')")
    with pytest.raises(ProvisionError, match="was added and belongs to no package") as caught:
        verification.check(bare)
    assert "isobench env create bare --provider container" in caught.value.hint
