"""Interpreters that were there before isobench, and what differs between environments."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from environment_world import World

from isobench import environments
from isobench.environments import adopted, store
from isobench.errors import ProvisionError, UsageError

pytestmark = pytest.mark.integration


@pytest.fixture
def venv(world: World) -> Path:
    """A virtual environment that somebody made by hand, with alpha and beta in it."""
    made = world.create()
    site = world.root / "site"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", site], check=True)
    packages = next(site.glob("lib/python*/site-packages"))
    for entry in made.site_packages.iterdir():
        if entry.name.startswith(("alpha", "beta")):
            subprocess.run(["cp", "-r", entry, packages], check=True)
    environments.remove("tiny")
    return site


@pytest.mark.parametrize("what", ["prefix", "python"])
def test_an_interpreter_is_adopted_by_its_prefix_or_by_its_path(world: World, venv: Path, what: str) -> None:
    place = venv if what == "prefix" else venv / "bin" / "python"
    made = adopted.adopt(environments.spec("tiny"), place, progress=world.said.append)
    assert (made.provider, made.python, made.prefix) == ("adopted", venv / "bin" / "python", venv)
    assert made.lock_sha256 == ""
    manifest = made.manifest()
    assert [package.name for package in manifest.packages] == ["alpha", "beta"]
    assert manifest.lock_file == ""
    environments.check(made)
    assert environments.verify(made) == []
    assert adopted.find("tiny") == made


def test_what_is_changed_in_it_is_refused_before_a_measurement(world: World, venv: Path) -> None:
    made = adopted.adopt(environments.spec("tiny"), venv, progress=world.said.append)
    (made.site_packages / "alpha" / "more.py").write_text("value = 2\n")
    reported = r"the tiny environment was modified: alpha 1\.0:"
    with pytest.raises(ProvisionError, match=reported) as caught:
        environments.check(made)
    assert caught.value.hint == f"Adopt it as it is now: isobench env adopt tiny {made.python}"


def test_adopting_again_replaces_the_adopted_interpreter(world: World, venv: Path) -> None:
    first = adopted.adopt(environments.spec("tiny"), venv, progress=world.said.append)
    (first.site_packages / "alpha" / "more.py").write_text("value = 2\n")
    info = next(first.site_packages.glob("alpha-*.dist-info"))
    lines = (info / "RECORD").read_text().splitlines(keepends=True)
    (info / "RECORD").write_text("".join(line for line in lines if "more.py" not in line))
    second = adopted.adopt(environments.spec("tiny"), venv, progress=world.said.append)
    assert second.identity != first.identity
    assert [name for name in world.left() if "adopted" in name] == [second.folder.name]
    environments.check(second)


def test_one_whose_manifest_is_broken_or_missing_is_no_hindrance(world: World, venv: Path) -> None:
    spec = world.spec()
    broken, unfinished = (world.home / "environments" / f"tiny-adopted-{letter * 12}" for letter in "ab")
    broken.mkdir(parents=True)
    unfinished.mkdir()
    (broken / store.MARKER_FILE).write_text('{"schema": "isobench.environment/1"}')
    listed = world.isobench("list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [["tiny", "not"], ["tiny", "broken"]]
    refused = world.isobench("path", "tiny")
    assert refused.returncode == 4
    assert "the tiny environment does not exist" in refused.stderr
    made = adopted.adopt(spec, venv, progress=world.said.append)
    assert world.left() == [made.folder.name]


def test_two_who_adopt_at_once_take_turns(world: World, venv: Path) -> None:
    marks, go = world.root / "marks", world.root / "go"
    world.spec(
        smoke=f"import time; from pathlib import Path\nPath({str(marks)!r}).touch()\n"
        f"while not Path({str(go)!r}).exists(): time.sleep(0.01)\n"
    )
    other = world.root / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    logs = [world.root / "first.log", world.root / "second.log"]
    deadline = time.monotonic() + 30
    adopters = [world.start("adopt", "tiny", str(venv), log=logs[0])]
    while not marks.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    adopters.append(world.start("adopt", "tiny", str(other), log=logs[1]))
    waiting = f"the environment tiny is in use by pid {adopters[0].pid} "
    while waiting not in logs[1].read_text() and adopters[1].poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    go.touch()
    assert [adopter.wait(30) for adopter in adopters] == [0, 0], logs[1].read_text()
    assert waiting in logs[1].read_text()
    taken = adopted.find("tiny")
    assert taken.prefix == other
    assert world.left() == [taken.folder.name]


def test_nothing_of_it_is_changed_or_removed(world: World, venv: Path) -> None:
    before = {file: file.lstat().st_mtime_ns for file in venv.rglob("*")}
    adopted.adopt(environments.spec("tiny"), venv, progress=world.said.append)
    environments.remove("tiny")
    assert {file: file.lstat().st_mtime_ns for file in venv.rglob("*")} == before
    assert adopted.find("tiny") is None


def test_an_interpreter_that_lacks_what_the_environment_is_for_is_refused(world: World, venv: Path) -> None:
    spec = world.spec(smoke="import nowhere\n")
    with pytest.raises(ProvisionError, match="the new tiny environment doesn't work") as caught:
        adopted.adopt(spec, venv, progress=world.said.append)
    assert "No module named 'nowhere'" in caught.value.details
    assert adopted.find("tiny") is None


def test_a_place_without_an_interpreter_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no interpreter at") as caught:
        adopted.adopt(world.spec(), tmp_path / "nowhere", progress=print)
    assert caught.value.hint == "Name a Python, or a folder that contains bin/python."
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(ProvisionError, match="can't be run as a Python"):
        adopted.adopt(world.spec(), fake, progress=print)


def test_a_conda_environment_is_adopted_with_its_conda_packages_and_its_activation(conda: World, channel: Path) -> None:
    made = conda.create(conda.conda_spec(channel.as_uri(), "toolbox", "greeter"))
    reported = conda.isobench("adopt", "tiny", str(made.folder))
    assert reported.returncode == 0, reported.stderr
    taken = adopted.find("tiny")
    assert [package.name for package in taken.manifest().conda_packages] == [
        "greeter",
        "python",
        "toolbox",
        "tzdata",
    ]
    assert taken.activation()["GREETING"] == f"hello from {made.folder}"
    assert environments.verify(taken) == []
    [row] = [row for row in json.loads(conda.isobench("list", "--json").stdout) if row["provider"] == "adopted"]
    assert (row["state"], row["lock_sha256"]) == ("ready", "")
    (made.folder / "lib" / "toolbox.txt").write_text("changed\n")
    with pytest.raises(ProvisionError, match=r"toolbox 2\.0 0: lib/toolbox\.txt was changed"):
        environments.check(taken)


def test_the_packages_that_differ_are_listed_and_the_exit_code_says_so(conda: World, channel: Path) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox")
    one = conda.create(spec)
    two = conda.create(replace(conda.conda_spec(channel.as_uri(), "toolbox =1", "greeter"), name="other"))
    same = conda.isobench("diff", one.folder.name, one.folder.name)
    assert (same.returncode, same.stdout) == (0, "the same packages\n")
    differ = conda.isobench("diff", one.folder.name, two.folder.name)
    assert differ.returncode == 1
    assert differ.stdout.splitlines() == [
        "greeter (conda)  -  ->  1.0 0",
        "toolbox (conda)  2.0 0  ->  1.0 0",
    ]
    rows = json.loads(conda.isobench("diff", one.folder.name, two.folder.name, "--json").stdout)
    assert rows[0] == {"package": "greeter (conda)", "first": None, "second": "1.0 0"}


def test_what_is_neither_an_environment_nor_a_result_is_refused(world: World) -> None:
    world.create()
    refused = world.isobench("diff", "tiny", "nonesuch")
    assert refused.returncode == 2
    assert "nonesuch is neither an environment nor a result: there is no environment 'nonesuch'" in refused.stderr
    assert "hint: List them: isobench env list, isobench list" in refused.stderr
