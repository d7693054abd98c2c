"""`requirements.in` resolved to a lock: what is held on to, what is refused, and how a damaged lock comes right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Unpack

import pytest
from environment_world import LockOptions, World

from isobench import environments
from isobench.environments.uv import command
from isobench.errors import ProvisionError

pytestmark = pytest.mark.integration


class Lock(Protocol):
    """Locks `tiny`; returns what changed."""

    def __call__(self, **options: Unpack[LockOptions]) -> list[str]: ...


@pytest.fixture
def lock(world: World) -> Lock:
    def lock(**options: Unpack[LockOptions]) -> list[str]:
        return environments.lock(environments.spec("tiny"), progress=world.said.append, **options)

    return lock


def refusal(lock: Lock) -> tuple[str, str]:
    with pytest.raises(ProvisionError) as caught:
        lock()
    assert caught.value.message.startswith("the requirements of tiny can't be locked: ")
    return caught.value.message.removeprefix("the requirements of tiny can't be locked: "), caught.value.hint


def test_a_first_lock_has_the_newest_versions_with_their_hashes(world: World, lock: Lock) -> None:
    spec = world.spec("")
    assert lock()
    assert spec.lock_file.read_text() == world.alpha_2 + world.beta
    assert world.said == [f"tiny: resolving {spec.requirements_file}"]
    environments.check(world.create(environments.spec("tiny")))


def test_versions_that_are_locked_stay(world: World, lock: Lock) -> None:
    spec = world.spec()
    assert not lock()
    assert spec.lock_file.read_text() == world.alpha + world.beta


def test_upgrading_takes_the_newest(world: World, lock: Lock) -> None:
    spec = world.spec()
    assert lock(upgrade=True)
    assert spec.lock_file.read_text() == world.alpha_2 + world.beta


def test_a_version_that_the_requirements_rule_out_is_replaced(world: World, lock: Lock) -> None:
    spec = world.spec(requirements="alpha>1\nbeta\n")
    assert lock()
    assert spec.locked()["alpha"] == "2.0"


def test_checking_writes_nothing(world: World, lock: Lock) -> None:
    spec = world.spec(requirements="alpha>1\nbeta\n")
    before = spec.lock_file.stat().st_mtime_ns
    assert lock(check=True)
    assert spec.lock_file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("damage", "alpha"),
    [
        (lambda text: text[:-20], "1.0"),
        (lambda text: text[: text.index("beta==") + 6], "1.0"),
        (lambda text: text.replace("--hash=sha256:", "--hash=sha256:00", 1), "1.0"),
        (lambda _text: "alpha==1.0\nbeta==1.0\n", "1.0"),
        (lambda _text: "<html>404</html>\n", "2.0"),
        (lambda _text: "\x00\udcff\x01", "2.0"),
    ],
    ids=["cut in a hash", "cut in a version", "a wrong hash", "no hashes", "a page", "bytes"],
)
def test_a_damaged_lock_is_resolved_again_with_the_versions_that_can_be_read(
    world: World, lock: Lock, damage: Callable[[str], str], alpha: str
) -> None:
    damaged = damage(world.alpha + world.beta).encode(errors="surrogateescape")
    spec = world.spec(damaged)
    assert lock(check=True)
    assert spec.lock_file.read_bytes() == damaged
    assert lock()
    assert "tiny: the lock is damaged: keeping the versions that can be read" in world.said
    assert spec.lock_file.read_text() == (world.alpha if alpha == "1.0" else world.alpha_2) + world.beta


def test_comments_and_hashes_on_the_same_line_are_no_damage(world: World, lock: Lock) -> None:
    text = "# by hand\n\n" + world.alpha.replace(" \\\n    ", " ") + world.beta
    world.spec(text)
    assert not lock()
    assert len(world.said) == 1


def test_a_package_that_no_index_has_is_named(world: World, lock: Lock) -> None:
    world.spec(requirements="alpha\nnowhere\n")
    why, hint = refusal(lock)
    assert why == "no configured index has nowhere"
    assert "UV_FIND_LINKS" in hint


def test_requirements_that_contradict_each_other_are_refused(world: World, lock: Lock) -> None:
    world.spec(requirements="alpha<1\n")
    assert refusal(lock) == ("no versions satisfy all requirements", "Loosen one of the versions that uv names.")


def test_malformed_requirements_are_distinguished_from_a_damaged_lock(world: World, lock: Lock) -> None:
    world.spec(requirements="a b c\n")
    assert refusal(lock) == ("requirements.in can't be parsed", "Fix the line that uv names.")


def test_requirements_that_are_not_there_are_named(world: World, lock: Lock) -> None:
    spec = world.spec()
    spec.requirements_file.unlink()
    assert refusal(lock)[0] == f"{spec.requirements_file} does not exist"


def test_a_requirement_with_an_address_is_refused(world: World, lock: Lock) -> None:
    spec = world.spec(requirements=f"alpha @ file://{world.wheels}/alpha-2.0-py3-none-any.whl\nbeta\n")
    before = spec.lock_file.read_text()
    why, hint = refusal(lock)
    assert (why, hint) == ("a requirement is a URL, which a lock must not contain", "Name packages and versions only.")
    assert spec.lock_file.read_text() == before


@pytest.mark.parametrize(("name", "glibc"), [("ort", "2_28"), ("onnx", "2_28"), ("openvino", "2_35")])
def test_these_locks_serve_aarch64_too(name: str, glibc: str, tmp_path: Path) -> None:
    spec, log_file = environments.spec(name), tmp_path / "uv.log"
    command.run(
        [
            "pip",
            "install",
            "--dry-run",
            "--no-build",
            "--require-hashes",
            "--python-version",
            spec.python,
            "--python-platform",
            f"aarch64-manylinux_{glibc}",
            "--target",
            tmp_path / "nothing",
            "-r",
            spec.lock_file,
        ],
        log_file=log_file,
    )
    would = re.findall(r"^ \+ (\S+)", log_file.read_text(), re.MULTILINE)
    assert sorted(would) == sorted(f"{package}=={version}" for package, version in spec.locked().items())
