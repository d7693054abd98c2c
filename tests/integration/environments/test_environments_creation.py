"""Environments installed by uv: named by their identity, created from empty, ready only once they passed their test."""

from __future__ import annotations

import json
import sys

import pytest
from environment_world import RunPython, World

from isobench import environments
from isobench.environments import Spec, store
from isobench.errors import ProvisionError

pytestmark = pytest.mark.integration


def refusal(world: World, spec: Spec) -> ProvisionError:
    with pytest.raises(ProvisionError) as caught:
        world.create(spec)
    assert environments.find(spec) is None
    return caught.value


def test_an_environment_holds_what_its_lock_says_and_nothing_else(world: World, run_python: RunPython) -> None:
    environment = world.create()
    assert run_python(environment, "import alpha, beta; print(alpha.VERSION, beta.VERSION)") == "1.0 1.0"
    assert run_python(environment, "import sys; print(sys.prefix)") == str(environment.folder)
    with pytest.raises(Exception, match="non-zero exit status"):
        run_python(environment, "import isobench")
    assert environments.verify(environment) == []
    environments.check(environment)


def test_an_environment_lies_under_its_identity_and_nothing_lies_beside_it(world: World) -> None:
    spec = world.spec()
    environment = world.create(spec)
    assert world.left() == [f"tiny-venv-{spec.identity()[:12]}"]
    assert environment == environments.find(spec)
    assert world.said[0].startswith("tiny: installing 2 packages from the lock with uv ")
    assert world.said[-1].endswith(f" s in {environment.folder}")


def test_a_local_variant_of_the_locked_version_is_not_taken_for_it(world: World, run_python: RunPython) -> None:
    world.wheel("alpha", "1.0+cpu")
    assert run_python(world.create(), "import alpha; print(alpha.VERSION)") == "1.0"
    locked = world.wheel("alpha", "1.0+gpu")
    assert run_python(world.create(world.spec(locked + world.beta)), "import alpha; print(alpha.VERSION)") == "1.0+gpu"


def test_the_manifest_records_what_was_installed(world: World) -> None:
    spec = world.spec()
    environment = world.create(spec)
    manifest = json.loads(environment.marker.read_text())
    assert [(package["name"], package["version"]) for package in manifest["packages"]] == [
        ("alpha", "1.0"),
        ("beta", "1.0"),
    ]
    assert manifest["identity"] == spec.identity()
    assert manifest["lock_sha256"] == spec.lock_sha256
    assert manifest["python"]["version"].startswith(f"{spec.python}.")
    assert manifest["tools"]["uv"]
    assert "Installed 2 packages" in (environment.folder / "provision.log").read_text()


def test_the_marker_is_written_after_everything_else(world: World) -> None:
    spec = world.spec()
    seen = world.root / "seen"
    folder = store.folder_of(spec)
    spec.smoke_file.write_text(f"import os; open({str(seen)!r}, 'w').write(' '.join(os.listdir({str(folder)!r})))")
    environment = world.create(spec)
    assert "pyvenv.cfg" in seen.read_text().split()
    assert store.MARKER_FILE not in seen.read_text().split()
    others = [file for file in environment.folder.rglob("*") if file.is_file() and file != environment.marker]
    assert all(file.stat().st_ctime_ns <= environment.marker.stat().st_ctime_ns for file in others)


def test_another_lock_is_another_environment_and_the_first_stays(world: World, run_python: RunPython) -> None:
    first = world.create()
    second = world.create(world.spec(world.alpha_2 + world.beta))
    assert first.folder != second.folder
    assert run_python(first, "import alpha; print(alpha.VERSION)") == "1.0"
    assert run_python(second, "import alpha; print(alpha.VERSION)") == "2.0"


def test_a_ready_environment_is_left_alone(world: World) -> None:
    first = world.create()
    before = world.state()
    assert world.create() == first
    assert world.said == []
    assert world.state() == before


def test_without_its_marker_an_environment_is_removed_and_installed_again(world: World) -> None:
    environment = world.create()
    environment.marker.unlink()
    (environment.site_packages / "alpha" / "more.py").write_text("half a fi")
    (environment.site_packages / "left_over.py").touch()
    assert environments.find(world.spec()) is None
    assert world.create() == environment
    assert world.said[0].startswith("tiny: installing 2 packages")
    assert environments.verify(environment) == []


def test_a_wrong_hash_is_refused_with_both_hashes(world: World) -> None:
    wrong = world.alpha[:-5] + "0000\n"
    error = refusal(world, world.spec(wrong + world.beta))
    assert error.message == (
        "the tiny environment can't be installed:"
        " hash mismatch: the index has another file for alpha==1.0 than the lock"
    )
    assert wrong[-65:-1] in error.details
    assert world.alpha[-65:-1] in error.details
    assert error.hint.endswith("lock again: isobench env lock tiny")
    assert world.left() == [f"{store.folder_of(world.spec(wrong + world.beta)).name}.log"]


@pytest.mark.parametrize(
    ("change", "reported"),
    [(("1.0", "3.0"), "alpha==3.0"), (("alpha", "nowhere"), "nowhere")],
    ids=["version", "package"],
)
def test_what_no_index_has_is_named_with_the_settings_that_help(
    world: World, change: tuple[str, str], reported: str
) -> None:
    error = refusal(world, world.spec(world.alpha.replace(*change) + world.beta))
    assert f"no configured index has {reported}" in error.message
    assert "UV_FIND_LINKS" in error.hint
    assert "log: " in error.details


@pytest.mark.parametrize(
    "lock",
    ["", "<html>404</html>\n", b"\xff\xfe\x00", "alpha==1.0\n", "alpha==1.0 \\\n    --hash=sha256:00\n", "alpha="],
    ids=["empty", "a page", "bytes", "no hash", "a short hash", "cut off"],
)
def test_a_damaged_lock_is_refused_with_the_command_that_makes_it(world: World, lock: str | bytes) -> None:
    error = refusal(world, world.spec(lock))
    assert "damaged" in error.message
    assert error.hint == "Resolve it again: isobench env lock tiny"
    assert not store.folder_of(world.spec(lock)).exists()


def test_a_lock_that_contradicts_itself_is_refused(world: World) -> None:
    error = refusal(world, world.spec(world.alpha + world.alpha_2 + world.beta))
    assert "alpha==1.0 and alpha==2.0" in error.details
    assert error.hint == "The lock contradicts itself; resolve it again: isobench env lock tiny"


def test_a_smoke_test_that_fails_leaves_its_words_and_the_log(world: World) -> None:
    spec = world.spec(smoke="import alpha\nimport nowhere\n")
    error = refusal(world, spec)
    assert error.message == (
        f"the new tiny environment doesn't work: its smoke test ({spec.smoke_file}) failed with exit code 1"
    )
    assert "No module named 'nowhere'" in error.details
    log = error.details.splitlines()[-1].removeprefix("log: ")
    assert world.left() == [log.rpartition("/")[2]]


def test_a_smoke_test_that_crashes_is_reported_by_its_signal(world: World) -> None:
    error = refusal(world, world.spec(smoke="import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"))
    assert error.message.endswith("was killed by signal 11")


def test_what_failed_is_made_once_its_cause_is_fixed(world: World) -> None:
    spec = world.spec(smoke="import nowhere\n")
    refusal(world, spec)
    spec.smoke_file.write_text("import alpha\n")
    assert world.create(spec) == environments.find(spec)
    assert world.left() == [store.folder_of(spec).name]


def test_a_home_below_a_file_is_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "file").touch()
    monkeypatch.setenv("ISOBENCH_HOME", str(world.root / "file" / "home"))
    with pytest.raises(ProvisionError, match=r"/file/home/environments/tiny-venv-.*Not a directory") as caught:
        world.create()
    assert caught.value.hint == "Set ISOBENCH_HOME to a folder that you can write to."


def test_a_file_in_the_place_of_the_environments_is_reported(world: World) -> None:
    world.home.mkdir()
    (world.home / "environments").touch()
    with pytest.raises(ProvisionError, match="Not a directory") as caught:
        world.create()
    assert "ISOBENCH_HOME" in caught.value.hint


def test_a_cache_that_cannot_be_written_is_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "file").touch()
    monkeypatch.setenv("UV_CACHE_DIR", str(world.root / "file" / "cache"))
    error = refusal(world, world.spec())
    assert error.message.endswith(f"uv's cache {world.root}/file/cache isn't writable")
    assert error.hint == "Set UV_CACHE_DIR to a folder that you can write to."


def test_a_folder_of_wheels_that_is_not_there_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", "/nowhere/wheels")
    error = refusal(world, world.spec())
    assert error.message.endswith("the folder of wheels /nowhere/wheels can't be read")
    assert "PIP_FIND_LINKS" in error.hint


def test_a_python_that_is_not_on_this_machine_is_reported_with_the_way_to_get_it(world: World) -> None:
    error = refusal(world, world.spec(python="3.99"))
    assert error.message == "Python 3.99, which the lock is for, was not found on this machine"
    assert error.hint.startswith("Install it: ")
    assert "python install 3.99" in error.hint
    assert world.left() == []


@pytest.mark.parametrize("how", ["variable", "file"])
def test_the_folder_of_wheels_that_pip_is_set_up_for_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("PIP_NO_INDEX")
    if how == "variable":
        monkeypatch.setenv("PIP_FIND_LINKS", "wheels")  # a relative one: uv works in another folder
        monkeypatch.setenv("PIP_NO_INDEX", "1")
    else:
        settings = world.root / "pip.conf"
        settings.write_text(f"[global]\nno-index = true\nfind-links = {world.wheels}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    assert environments.verify(world.create()) == []


def test_settings_that_would_lead_uv_astray_change_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"VIRTUAL_ENV": "/elsewhere", "UV_PYTHON": "3.99", "UV_TARGET": str(world.root / "t")}.items():
        monkeypatch.setenv(name, value)
    (world.root / "pyproject.toml").write_text("[project]\nname = 'users'\nversion = '1'\ndependencies = ['nowhere']\n")
    assert environments.verify(world.create()) == []
    assert not (world.root / "t").exists()


def test_bytecode_lies_where_the_worker_looks_for_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(world.root / "elsewhere"))
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    made = world.create()
    tag = sys.implementation.cache_tag
    assert [file.name for file in made.site_packages.glob("alpha/__pycache__/more*")] == [f"more.{tag}.pyc"]
    assert not (world.root / "elsewhere").exists()


def test_a_home_named_from_another_folder_is_the_same_home(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "here").mkdir()
    monkeypatch.chdir(world.root / "here")
    monkeypatch.setenv("ISOBENCH_HOME", "../home")
    made = world.create()
    assert made.folder.parent == world.home / "environments"
    monkeypatch.setenv("ISOBENCH_HOME", str(world.home))
    assert environments.verify(environments.find(world.spec())) == []


def test_of_an_environment_that_is_linked_to_only_the_link_is_removed(world: World) -> None:
    made = world.create()
    elsewhere = world.root / made.folder.name
    made.folder.rename(elsewhere)
    made.folder.symlink_to(elsewhere)
    assert environments.remove("tiny") == [made.folder]
    assert world.left() == []
    assert (elsewhere / store.MARKER_FILE).exists()
    made.folder.symlink_to(world.root / "gone")
    assert environments.verify(world.create()) == []
    assert not made.folder.is_symlink()


def test_removing_takes_every_environment_of_a_name_and_no_other(world: World) -> None:
    first = world.create()
    second = world.create(world.spec(world.alpha_2 + world.beta))
    other = world.create(world.spec(name="other"))
    (first.folder.with_name("tiny-venv-000000000000") / "bin").mkdir(parents=True)  # unfinished
    gone = environments.remove("tiny")
    assert {folder.name for folder in gone} == {first.folder.name, second.folder.name, "tiny-venv-000000000000"}
    assert world.left() == [other.folder.name]
    assert environments.remove("tiny") == []
