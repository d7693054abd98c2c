"""`isobench env ...` in processes of its own: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import subprocess

import pytest
from environment_world import World

from isobench import environments
from isobench.environments import store

pytestmark = pytest.mark.integration


def failed(outcome: subprocess.CompletedProcess[str], code: int = 4) -> tuple[str, str]:
    """The message and the hint of a command that failed as it should."""
    assert outcome.returncode == code, outcome
    lines = outcome.stderr.splitlines()
    assert not any(line.startswith("Traceback") for line in lines), outcome.stderr
    reported = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    assert (len(reported), len(hints)) == (1, 1), outcome.stderr
    return reported[0], hints[0]


def printed(outcome: subprocess.CompletedProcess[str]) -> str:
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_listing_names_every_environment_with_its_state(world: World) -> None:
    made = world.create()
    missing = world.spec(name="missing")
    lines = printed(world.isobench("list")).splitlines()
    version = made.manifest().python.version
    assert lines == [
        f"missing  not made   Python {missing.python:7}                {store.folder_of(missing)}",
        f"tiny     ready      Python {version:7}  2 packages    {made.folder}",
    ]


def test_listing_as_json_has_all_that_is_known(world: World) -> None:
    made = world.create()
    missing = world.spec(name="missing")
    rows = json.loads(printed(world.isobench("list", "--json")))
    assert rows[0] == {
        "name": "missing",
        "state": "not made",
        "provider": "venv",
        "python": missing.python,
        "packages": 0,
        "conda_packages": 0,
        "folder": str(store.folder_of(missing)),
        "identity": missing.identity(),
        "lock_sha256": missing.lock_sha256,
        "created_at": None,
    }
    assert rows[1] == {
        "name": "tiny",
        "state": "ready",
        "provider": "venv",
        "python": made.manifest().python.version,
        "packages": 2,
        "conda_packages": 0,
        "folder": str(made.folder),
        "identity": made.identity,
        "lock_sha256": made.lock_sha256,
        "created_at": made.manifest().created_at,
    }


def test_listing_shows_what_is_left_of_other_locks_and_what_is_broken(world: World) -> None:
    old = world.create()
    spec = world.spec(world.alpha_2 + world.beta)
    broken = world.create(spec)
    for manifest in ("[]", '{"schema": "isobench.environment/99"}', "{", "\xff"):
        broken.marker.write_text(manifest, encoding="latin-1")
        rows = json.loads(printed(world.isobench("list", "--json")))
        assert [(row["name"], row["state"], row["folder"]) for row in rows] == [
            ("tiny", "old lock", str(old.folder)),
            ("tiny", "broken", str(broken.folder)),
        ]
    assert "tiny  broken " in printed(world.isobench("list"))


def test_listing_works_where_nothing_was_ever_made(world: World) -> None:
    world.spec()
    assert "not made" in printed(world.isobench("list"))
    (world.root / "file").touch()
    assert "not made" in printed(world.isobench("list", ISOBENCH_HOME=str(world.root / "file" / "home")))


def test_creating_prints_the_folder_and_reports_progress_on_stderr(world: World) -> None:
    spec = world.spec()
    outcome = world.isobench("create", "tiny")
    assert printed(outcome) == f"tiny: {store.folder_of(spec)}\n"
    assert [line.partition(" ")[0] for line in outcome.stderr.splitlines()] == ["tiny:"] * 3
    assert environments.verify(environments.find(spec)) == []


def test_creating_what_is_there_says_where_and_changes_nothing(world: World) -> None:
    made = world.create()
    before = world.state()
    outcome = world.isobench("create", "tiny")
    assert (printed(outcome), outcome.stderr) == (f"tiny: {made.folder}\n", "")
    assert world.state() == before


def test_all_environments_are_created_side_by_side(world: World) -> None:
    specs = [world.spec(), world.spec(world.alpha_2, name="other", smoke="import alpha\n")]
    lines = printed(world.isobench("create", "--all")).splitlines()
    assert lines == [f"{spec.name}: {store.folder_of(spec)}" for spec in sorted(specs, key=lambda spec: spec.name)]
    assert all(environments.verify(environments.find(spec)) == [] for spec in specs)


def test_when_one_of_several_fails_the_others_are_made(world: World) -> None:
    good, bad = world.spec(), world.spec(name="bad", smoke="import nowhere\n")
    message, _ = failed(world.isobench("create", "tiny", "bad"))
    assert message.startswith("the new bad environment doesn't work")
    assert environments.find(good)
    assert environments.find(bad) is None


def test_when_several_fail_all_are_reported(world: World) -> None:
    for name in ("one", "two"):
        world.spec(name=name, smoke=f"import no_{name}\n")
    outcome = world.isobench("create", "--all")
    message, _ = failed(outcome)
    assert "the new one environment doesn't work" in message
    assert "the new two environment doesn't work" in message
    assert "No module named 'no_one'" in outcome.stderr
    assert "No module named 'no_two'" in outcome.stderr


@pytest.mark.parametrize("command", ["create", "path", "verify", "remove", "lock"])
def test_an_unknown_name_is_refused_with_the_one_that_was_meant(world: World, command: str) -> None:
    world.spec()
    message, hint = failed(world.isobench(command, "tny"), code=2)
    assert message == "there is no environment 'tny'; did you mean tiny?"
    assert hint == "The environments are: tiny."


def test_an_unknown_name_among_others_is_refused_before_any_work(world: World) -> None:
    world.spec()
    failed(world.isobench("create", "tiny", "nonesuch"), code=2)
    assert not world.home.exists()


@pytest.mark.parametrize("arguments", [(), ("--all", "tiny")])
def test_creating_takes_names_or_all(world: World, arguments: tuple[str, ...]) -> None:
    world.spec()
    message, hint = failed(world.isobench("create", *arguments), code=2)
    assert message == "give either names of environments or --all"
    assert hint == "Create all: isobench env create --all"


def test_the_path_is_printed_alone(world: World) -> None:
    made = world.create()
    assert printed(world.isobench("path", "tiny")) == f"{made.folder}\n"
    assert printed(world.isobench("path", made.folder.name)) == f"{made.folder}\n"
    reported = json.loads(printed(world.isobench("path", "tiny", "--json")))
    assert (reported["folder"], reported["python"]) == (str(made.folder), str(made.python))
    assert (reported["site_packages"], reported["identity"]) == (str(made.site_packages), made.identity)


@pytest.mark.parametrize("command", ["path", "verify"])
def test_what_is_not_made_is_reported_with_the_command_that_makes_it(world: World, command: str) -> None:
    world.create()
    world.spec(world.alpha_2 + world.beta)  # what lies there by this name is of another lock
    reported = ("the tiny environment does not exist", "Create it: isobench env create tiny")
    assert failed(world.isobench(command, "tiny")) == reported


def test_an_environment_that_is_unchanged_is_verified(world: World) -> None:
    made = world.create()
    assert printed(world.isobench("verify", "tiny")) == "tiny: unchanged since its installation\n"
    assert (
        printed(world.isobench("verify", made.folder.name)) == f"{made.folder.name}: unchanged since its installation\n"
    )
    reported = json.loads(printed(world.isobench("verify", "tiny", "--json")))
    assert reported == [{"name": "tiny", "ok": True, "problems": []}]


def test_verifying_lists_every_difference_and_fails(world: World) -> None:
    made, other = world.create(), world.create(world.spec(name="other"))
    for number in range(5):
        (made.site_packages / f"stray{number}.pth").touch()
    outcome = world.isobench("verify", "other", "tiny")
    assert failed(outcome) == (
        "modified since their installation: tiny",
        f"Install it again: isobench env remove {made.folder.name} && isobench env create tiny --provider venv",
    )
    strays = [f"{made.site_packages.relative_to(made.folder)}/stray{number}.pth" for number in range(5)]
    assert outcome.stdout.splitlines() == [
        "other: unchanged since its installation",
        "tiny: 5 differences",
        *(f"  - {stray} was added and belongs to no package" for stray in strays),
    ]
    outcome = world.isobench("verify", other.name, "tiny", "--json")
    assert [(row["name"], row["ok"], len(row["problems"])) for row in json.loads(outcome.stdout)] == [
        ("other", True, 0),
        ("tiny", False, 5),
    ]
    failed(outcome)


def test_the_remedy_that_is_named_works_as_it_stands(world: World) -> None:
    made = world.create()
    (made.site_packages / "stray.pth").touch()
    outcome = world.isobench("verify", "tiny")
    assert outcome.stdout.startswith("tiny: 1 difference\n")
    _, hint = failed(outcome)
    for command in hint.removeprefix("Install it again: ").split(" && "):
        printed(world.isobench(*command.split()[2:]))
    assert printed(world.isobench("verify", "tiny")) == "tiny: unchanged since its installation\n"


def test_a_broken_manifest_is_reported_with_the_way_out(world: World) -> None:
    made = world.create()
    made.marker.write_text("{}")
    message, hint = failed(world.isobench("verify", "tiny"))
    assert message.startswith(f"the manifest {made.marker} can't be read: not of schema ")
    assert (
        hint == f"Install it again: isobench env remove {made.folder.name} && isobench env create tiny --provider venv"
    )


def test_removing_names_the_folders_that_are_gone(world: World) -> None:
    made = world.create()
    assert printed(world.isobench("remove", "tiny")) == f"removed {made.folder}\n"
    assert world.left() == []
    outcome = world.isobench("remove", "tiny")
    assert (printed(outcome), outcome.stderr) == ("", "tiny: nothing to remove\n")


def test_one_of_several_of_a_name_is_removed_by_its_folder(world: World) -> None:
    first = world.create()
    second = world.create(world.spec(world.alpha_2 + world.beta))
    assert printed(world.isobench("remove", first.folder.name)) == f"removed {first.folder}\n"
    assert world.left() == [second.folder.name]


def test_environments_of_scripts_are_shown_by_their_name_and_distinguished_by_their_folder(world: World) -> None:
    world.spec()
    made = []
    for dependency in ("gamma", "delta"):
        world.wheel(dependency, "0.1")
        script = world.root / f"{dependency}.py"
        script.write_text(f'# /// script\n# dependencies = ["{dependency}"]\n# ///\n')
        made.append(world.create(environments.for_script(script, "tiny", progress=world.said.append)))
    assert printed(world.isobench("list")).count("tiny-script  ready") == 2
    message, hint = failed(world.isobench("path", "tiny-script"), code=2)
    assert message == "there are 2 environments 'tiny-script'"
    assert all(environment.folder.name in hint for environment in made)
    assert printed(world.isobench("path", made[0].folder.name)) == f"{made[0].folder}\n"
    assert printed(world.isobench("remove", made[0].folder.name)) == f"removed {made[0].folder}\n"
    assert printed(world.isobench("path", "tiny-script")) == f"{made[1].folder}\n"


def test_checking_a_lock_that_is_as_it_would_be_made_succeeds(world: World) -> None:
    world.spec()
    assert printed(world.isobench("lock", "--check", "tiny")) == "tiny: no changes\n"


def test_checking_a_lock_that_would_be_made_otherwise_fails_and_writes_nothing(world: World) -> None:
    spec = world.spec(requirements="alpha>1\nbeta\n")
    outcome = world.isobench("lock", "--check", "tiny")
    assert failed(outcome) == ("the lock is out of date: tiny", "Update it: isobench env lock tiny")
    assert outcome.stdout == "tiny: requirements.txt: versions changed\n"
    assert spec.lock_file.read_text() == world.alpha + world.beta
    assert printed(world.isobench("lock", "tiny")) == "tiny: requirements.txt: versions changed\n"
    assert spec.lock_file.read_text() == world.alpha_2 + world.beta
    assert printed(world.isobench("lock", "--check", "tiny")) == "tiny: no changes\n"
