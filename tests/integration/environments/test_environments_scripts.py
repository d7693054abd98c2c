"""A script's inline block (PEP 723) gets it an environment of its own, beside which the base's versions hold."""

from __future__ import annotations

import threading
from typing import Protocol

import pytest
from environment_world import RunPython, World

from isobench import environments, paths
from isobench.environments import Spec
from isobench.errors import LockError, ModelError, ProvisionError
from isobench.failures import Ending

pytestmark = pytest.mark.integration


class ForScript(Protocol):
    """Writes a script with these dependencies; returns the spec of its environment on the base `tiny`."""

    def __call__(self, *dependencies: str, name: str = ...) -> Spec: ...


@pytest.fixture
def for_script(world: World) -> ForScript:
    """Writes a script with these dependencies, and asks for its environment on the base `tiny`."""
    world.spec()
    world.wheel("gamma", "0.1", requires=["alpha"])
    world.wheel("delta", "0.1", requires=["alpha>=2"])

    def ask(*dependencies: str, name: str = "model.py") -> Spec:
        script = world.root / name
        script.write_text(f"# /// script\n# dependencies = {list(dependencies)!r}\n# ///\nimport alpha\n")
        world.said.clear()
        return environments.for_script(script, "tiny", progress=world.said.append)

    return ask


def refusal(for_script: ForScript, *dependencies: str) -> ProvisionError:
    with pytest.raises(ProvisionError) as caught:
        for_script(*dependencies)
    assert not list(paths.locks().iterdir()), "something was left"
    return caught.value


def test_what_a_script_declares_is_added_to_the_base_in_an_environment_of_its_own(
    world: World, for_script: ForScript, run_python: RunPython
) -> None:
    base = world.create()
    spec = for_script("gamma")
    assert spec.locked() == {"alpha": "1.0", "beta": "1.0", "gamma": "0.1"}
    environment = world.create(spec)
    assert environment.folder.name.startswith("tiny-script-venv-")
    assert run_python(environment, "import alpha, gamma; print(alpha.VERSION, gamma.VERSION)") == "1.0 0.1"
    environments.check(base)
    assert "gamma" not in [file.name for file in base.site_packages.iterdir()]


def test_the_lock_is_hashed_and_names_no_place(for_script: ForScript) -> None:
    text = for_script("gamma").lock_file.read_text()
    assert text.count("--hash=sha256:") == 3
    assert "://" not in text
    assert "find-links" not in text


def test_dependencies_are_resolved_once_and_the_lock_is_stored(world: World, for_script: ForScript) -> None:
    first = for_script("gamma")
    assert world.said == ["model.py: resolving its dependencies (gamma)"]
    before = world.state()
    world.wheel("gamma", "0.2")  # what is newer by now changes nothing
    second = for_script("gamma")
    assert world.said == []
    assert second == first
    assert world.state() == before
    assert second.locked()["gamma"] == "0.1"


def test_scripts_that_ask_for_the_same_share_an_environment(world: World, for_script: ForScript) -> None:
    first = for_script("gamma", "beta")
    second = for_script("beta", "gamma", name="other.py")
    assert world.said == []
    assert second.identity() == first.identity()
    assert for_script("gamma").lock_file != first.lock_file


def test_another_lock_of_the_base_is_resolved_again(world: World, for_script: ForScript) -> None:
    first = for_script("gamma")
    world.spec(world.alpha_2 + world.beta)
    second = for_script("gamma")
    assert second.lock_file != first.lock_file
    assert second.locked()["alpha"] == "2.0"


def test_a_dependency_for_another_platform_is_left_out(world: World, for_script: ForScript) -> None:
    spec = for_script("gamma; python_version >= '3'", "delta; sys_platform == 'win32'")
    assert set(spec.locked()) == {"alpha", "beta", "gamma"}
    assert environments.verify(world.create(spec)) == []


@pytest.mark.parametrize("dependency", ["alpha>=2", "delta"], ids=["asked for", "needed by what is asked for"])
def test_a_version_that_the_base_does_not_have_is_refused(world: World, for_script: ForScript, dependency: str) -> None:
    error = refusal(for_script, dependency)
    assert error.message == (
        f"the dependencies of {world.root}/model.py can't be combined with those of the tiny environment:"
        " no versions satisfy all requirements"
    )
    assert "alpha==1.0" in error.details
    assert error.hint == (
        f"Loosen the versions in the script's block; those of {world.envs}/tiny/requirements.txt are fixed."
    )


@pytest.mark.parametrize("dependency", ["nowhere", "gamma==7"])
def test_what_no_index_has_is_named_with_the_settings_that_help(for_script: ForScript, dependency: str) -> None:
    error = refusal(for_script, dependency)
    assert error.message.endswith(f": no configured index has {dependency}")
    assert "UV_FIND_LINKS" in error.hint


def test_what_was_refused_is_found_once_the_index_has_it(world: World, for_script: ForScript) -> None:
    refusal(for_script, "epsilon")
    world.wheel("epsilon", "0.1")
    assert for_script("epsilon").locked()["epsilon"] == "0.1"


def test_a_block_that_is_no_toml_is_refused_before_any_work(world: World) -> None:
    world.spec()
    script = world.root / "model.py"
    script.write_text("# /// script\n# dependencies = [alpha]\n# ///\n")
    with pytest.raises(ModelError, match=r"model\.py:2: the script block isn't TOML"):
        environments.for_script(script, "tiny", progress=world.said.append)
    assert world.said == []
    assert not world.home.exists()


def test_a_damaged_lock_of_a_script_is_refused_with_the_way_out(world: World, for_script: ForScript) -> None:
    spec = for_script("gamma")
    spec.lock_file.write_text("")
    with pytest.raises(ProvisionError, match=r"the lock of tiny-script, .* is damaged") as caught:
        world.create(for_script("gamma"))
    way_out = f"rm -r {spec.lock_file.parent}"
    assert caught.value.hint == f"Resolve it again: {way_out} (the next run of its script resolves it again)"


def test_a_damaged_lock_of_the_base_is_refused_with_the_command_that_makes_it(
    world: World, for_script: ForScript
) -> None:
    world.spec(world.alpha[:-9])
    error = refusal(for_script, "gamma")
    assert error.message == f"the lock of tiny, {world.envs}/tiny/requirements.txt, is damaged"
    assert error.hint == "Resolve it again: isobench env lock tiny"


def test_a_home_below_a_file_is_reported(world: World, for_script: ForScript, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "file").touch()
    monkeypatch.setenv("ISOBENCH_HOME", str(world.root / "file" / "home"))
    with pytest.raises(LockError, match="Not a directory") as caught:
        for_script("gamma")
    assert caught.value.kind == Ending.ENVIRONMENT
    assert "ISOBENCH_HOME" in caught.value.hint


def test_a_lock_that_cannot_be_written_is_reported(for_script: ForScript) -> None:
    folder = for_script("gamma").lock_file.parent
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.touch()
    with pytest.raises(ProvisionError, match=r"the lock for .*model\.py can't be written: .*File exists") as caught:
        for_script("gamma")
    assert "ISOBENCH_HOME" in caught.value.hint


def test_of_two_who_want_the_same_lock_one_resolves_it(world: World, for_script: ForScript) -> None:
    for_script()
    script = world.root / "model.py"
    found: list[Spec] = []
    said: list[str] = []
    script.write_text('# /// script\n# dependencies = ["gamma"]\n# ///\n')

    def ask() -> None:
        found.append(environments.for_script(script, "tiny", progress=said.append))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert len([line for line in said if "resolving" in line]) == 1


def test_a_changed_environment_of_a_script_is_refused_with_the_command_that_helps(
    world: World, for_script: ForScript
) -> None:
    environment = world.create(for_script("gamma"))
    (environment.site_packages / "stray.pth").touch()
    with pytest.raises(ProvisionError, match=r"stray\.pth was added") as caught:
        environments.check(environment)
    assert caught.value.hint == (
        f"Remove it, and the next run of its script installs it again: isobench env remove {environment.folder.name}"
    )
    assert environments.remove(environment.folder.name) == [environment.folder]
    environments.check(world.create(for_script("gamma")))
