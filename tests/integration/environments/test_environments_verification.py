"""What was changed manually is refused by its name; what only looks changed is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from environment_world import RunPython, World

from isobench import environments
from isobench.environments import Environment
from isobench.environments.uv import command
from isobench.errors import ProvisionError
from isobench.failures import Ending

pytestmark = pytest.mark.integration


@pytest.fixture
def made(world: World) -> Environment:
    return world.create()


def pip(environment: Environment, action: str, *arguments: str) -> None:
    """`uv pip install` into an environment, as people do."""
    argv = [command.binary(), "pip", action, "--quiet", "--python", environment.python, *arguments]
    subprocess.run(argv, check=True)


def install(environment: Environment, *arguments: str) -> None:
    pip(environment, "install", "--no-index", *arguments)


def replace(file: Path, text: str) -> None:
    """Replace a file, which may be a hard link."""
    file.unlink(missing_ok=True)
    file.write_text(text)


def refusal(environment: Environment) -> str:
    with pytest.raises(ProvisionError) as caught:
        environments.check(environment)
    assert caught.value.kind is Ending.ENVIRONMENT_DRIFT
    remedy = f"isobench env remove {environment.folder.name} && isobench env create tiny --provider venv"
    assert caught.value.hint == f"Install it again: {remedy}"
    assert f"in {environment.folder}" in caught.value.details
    beginning = "the tiny environment was modified: "
    assert caught.value.message.startswith(beginning)
    return caught.value.message.removeprefix(beginning)


def test_a_package_replaced_by_another_version_is_refused(made: Environment) -> None:
    install(made, "alpha==2.0")
    assert refusal(made) == "alpha 1.0 was replaced by 2.0"


def test_a_package_added_by_hand_is_refused(world: World, made: Environment) -> None:
    world.wheel("gamma", "0.1")
    install(made, "gamma")
    assert refusal(made) == "gamma 0.1 was added"


def test_a_package_removed_by_hand_is_refused(made: Environment) -> None:
    pip(made, "uninstall", "beta")
    assert refusal(made) == "beta 1.0 was removed"


def test_another_build_of_the_same_version_is_refused(world: World, made: Environment) -> None:
    world.wheel("alpha", "1.0", files={"alpha/more.py": "value = 3\n"})
    install(made, "--reinstall", "--no-cache", "alpha==1.0")
    assert refusal(made).startswith("alpha 1.0 was reinstalled: its RECORD differs")


@pytest.mark.parametrize("text", ["value = 2\n", "value = 10\n", ""], ids=["of the same size", "longer", "emptied"])
def test_an_edited_file_is_refused_by_its_name(made: Environment, text: str) -> None:
    replace(made.site_packages / "alpha" / "more.py", text)
    assert refusal(made) == "alpha 1.0: alpha/more.py was changed"


def test_a_missing_file_is_refused_by_its_name(made: Environment) -> None:
    (made.site_packages / "alpha" / "more.py").unlink()
    assert refusal(made) == "alpha 1.0: alpha/more.py is missing"


@pytest.mark.parametrize(
    "name", ["stray.pth", "sitecustomize.py", "json.py", "alpha/extra.py", "native.so", "hidden.pyc", "new/__init__.py"]
)
def test_a_stray_file_is_refused_by_its_name(made: Environment, name: str) -> None:
    file = made.site_packages / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("import os\n")
    assert refusal(made) == f"{file.relative_to(made.folder)} was added and belongs to no package"


def test_a_folder_that_is_linked_in_is_refused_by_its_name(world: World, made: Environment) -> None:
    (world.root / "mine").mkdir()
    link = made.site_packages / "mine"
    link.symlink_to(world.root / "mine")
    assert refusal(made) == f"{link.relative_to(made.folder)} was added and belongs to no package"


def test_a_package_moved_away_and_linked_to_is_refused(world: World, made: Environment) -> None:
    package = made.site_packages / "alpha"
    package.rename(world.root / "alpha")
    package.symlink_to(world.root / "alpha")
    assert refusal(made) == f"{package.relative_to(made.folder)} was added and belongs to no package"


def test_an_edited_file_of_no_package_is_refused_by_its_name(made: Environment) -> None:
    replace(made.folder / "bin" / "activate", "echo hello\n")
    assert refusal(made) == "bin/activate was changed"


def test_a_link_that_leads_elsewhere_is_refused_by_its_name(made: Environment) -> None:
    link = made.folder / "bin" / "python3"
    link.unlink()
    link.symlink_to("/bin/true")
    assert refusal(made) == "bin/python3 was changed"


def test_another_interpreter_is_refused(made: Environment) -> None:
    made.python.unlink()
    shutil.copy("/bin/true", made.python)
    assert refusal(made).startswith(f"its Python, {made.python}, was replaced or updated")


def test_an_interpreter_that_is_gone_is_refused_with_its_path(made: Environment) -> None:
    path = made.python.resolve()
    made.python.unlink()
    assert refusal(made) == f"its Python, {path}, is missing; bin/python is missing"


def test_settings_of_the_interpreter_are_part_of_the_environment(made: Environment) -> None:
    settings = made.folder / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace("packages = false", "packages = true"))
    assert refusal(made) == "pyvenv.cfg was changed"


def test_a_manifest_of_another_lock_is_refused(made: Environment) -> None:
    manifest = json.loads(made.marker.read_text()) | {"lock_sha256": "0" * 64}
    made.marker.write_text(json.dumps(manifest))
    assert refusal(made) == "its manifest belongs to another lock"


@pytest.mark.parametrize(
    "record", [b"", b"\xff\x00\r,\n\x00,sha256=x\n", b'"', None], ids=["empty", "bytes", "quote", "gone"]
)
def test_a_damaged_record_is_refused(made: Environment, record: bytes | None) -> None:
    file = made.site_packages / "alpha-1.0.dist-info" / "RECORD"
    file.unlink()
    if record is not None:
        file.write_bytes(record)
    assert refusal(made).startswith("alpha 1.0 was reinstalled: its RECORD differs; ")


def test_a_file_that_was_merely_touched_is_no_drift(made: Environment) -> None:
    for file in (made.site_packages / "alpha" / "more.py", made.folder / "bin" / "activate"):
        os.utime(file)
    environments.check(made)


def test_the_same_package_installed_again_is_no_drift(made: Environment) -> None:
    install(made, "--reinstall", "alpha==1.0")
    environments.check(made)


def test_bytecode_that_comes_and_goes_is_no_drift(made: Environment, run_python: RunPython) -> None:
    shutil.rmtree(made.site_packages / "alpha" / "__pycache__")
    environments.check(made)
    subprocess.run([made.python, "-I", "-c", "import alpha.more"], check=True)
    assert (made.site_packages / "alpha" / "__pycache__").is_dir()
    environments.check(made)


def test_three_differences_are_reported_and_the_others_are_listed(made: Environment) -> None:
    for number in range(6):
        (made.site_packages / f"stray{number}.py").touch()
    install(made, "alpha==2.0")
    with pytest.raises(ProvisionError) as caught:
        environments.check(made)
    reported = caught.value.message.split(": ", 1)[1].split("; ")
    assert (reported[0], len(reported), reported[-1]) == ("alpha 1.0 was replaced by 2.0", 4, "and 4 more")
    assert caught.value.details.count(" was added and belongs to no package\n") == 4
    assert len(environments.verify(made)) == 7


def test_verifying_sees_a_change_that_left_size_and_time_as_they_were(made: Environment) -> None:
    file = made.site_packages / "alpha" / "more.py"
    times = file.stat()
    replace(file, "value = 2\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert environments.verify(made) == ["alpha 1.0: alpha/more.py was changed"]


def test_an_environment_that_was_installed_again_is_unchanged(world: World, made: Environment) -> None:
    install(made, "alpha==2.0")
    environments.remove("tiny")
    environments.check(world.create())


def test_an_edit_in_one_environment_reaches_no_other_and_not_the_cache(world: World, made: Environment) -> None:
    other = world.create(world.spec(world.alpha, name="other", smoke="import alpha\n"))
    with (other.site_packages / "alpha" / "more.py").open("r+") as file:
        file.write("value = 6\n")
    environments.check(made)
    new = world.create(world.spec(world.alpha + world.beta + world.wheel("gamma", "0.1"), name="new"))
    assert environments.verify(new) == []
    assert "fetching them again" not in "\n".join(world.said)


@pytest.fixture
def linked(world: World, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment of somebody who has uv link files, as it does by itself on most file systems."""
    monkeypatch.setenv("UV_LINK_MODE", "hardlink")
    return world.create()


def poison(environment: Environment) -> Path:
    """Edit a file in place: the same file lies in uv's cache."""
    file = environment.site_packages / "alpha" / "more.py"
    assert file.stat().st_nlink > 1
    with file.open("r+") as opened:
        opened.write("value = 6\n")
    return file


def test_an_edit_that_reached_the_cache_reaches_no_new_environment(
    world: World, linked: Environment, run_python: RunPython
) -> None:
    poison(linked)
    assert refusal(linked) == "alpha 1.0: alpha/more.py was changed"
    new = world.create(world.spec(world.alpha + world.beta + world.wheel("gamma", "0.1"), name="new"))
    assert "new: the cache has modified files of alpha: fetching them again" in world.said
    assert run_python(new, "import alpha.more; print(alpha.more.value)") == "1"
    assert environments.verify(new) == []


def test_an_edit_that_reached_the_cache_is_repaired_by_the_remedy(world: World, linked: Environment) -> None:
    file = poison(linked)
    environments.remove("tiny")
    assert world.create() == linked
    assert file.read_text() == "value = 1\n"
    environments.check(linked)


def test_an_edit_in_one_environment_is_refused_in_all_that_share_the_file(world: World, linked: Environment) -> None:
    other = world.create(world.spec(world.alpha, name="other", smoke="import alpha\n"))
    poison(other)
    assert refusal(linked) == "alpha 1.0: alpha/more.py was changed"


def test_a_poisoned_cache_and_no_place_to_fetch_from_is_reported(world: World, linked: Environment) -> None:
    poison(linked)
    environments.remove("tiny")
    (world.wheels / "alpha-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ProvisionError, match=r"no configured index has alpha==1\.0"):
        world.create()
    assert environments.find(world.spec()) is None
