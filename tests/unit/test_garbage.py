"""`isobench cache gc`: what nobody needs is removed, and nothing else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from called import call
from sample_builds import make

from isobench import paths
from isobench.builds import cache
from isobench.builds.build import Build
from isobench.system.locks import FileLock

GONE = "{}-{}-1-1-a1b2c3"
"""The name of what a process of this host has left that has ended."""


@pytest.fixture(autouse=True)
def home(home_in_memory: Path) -> Path:
    return home_in_memory


def gone(name: str) -> str:
    return GONE.format(name, paths.owner().rsplit("-", 2)[0])


def gc(*options: str) -> list[Path]:
    """What it printed as removed, and that it succeeded."""
    code, output, errors = call("cache", "gc", *options)
    assert code == 0, errors
    lines = output.splitlines()
    verb = "would remove " if "--dry-run" in options else "removed "
    assert errors.startswith(f"{len(lines)} {'to remove' if '--dry-run' in options else 'removed'}, ")
    return [Path(line.removeprefix(verb).partition("  (")[0]) for line in lines]


def stored(identity: str, home: Path, *, days: float = 0) -> Build:
    folder = home / "runs" / identity
    folder.mkdir(parents=True)
    (folder / "inputs.msgpack").write_bytes(b"inputs")
    shared = paths.builds() / "onnx" / f"of-{identity}" / "model.onnx"
    shared.parent.mkdir(parents=True)
    shared.write_bytes(b"0" * 200_000)
    made = make(home / "model.py", id=identity, onnx_file=shared)
    made = cache.store(made, folder, besides=[shared])
    cache.remember(f"k{identity}", [made], [])
    then = time.time() - days * 86400
    os.utime(made.folder, (then, then))
    return made


def test_builds_that_were_not_used_for_long_are_removed_with_their_onnx_files(home: Path) -> None:
    old, new = stored("aa", home, days=40), stored("bb", home, days=20)
    assert gc("--dry-run") == [old.folder]
    assert old.folder.is_dir()
    assert gc() == [old.folder]
    assert not old.folder.exists()
    assert [path.name for path in (paths.builds() / "onnx").iterdir()] == ["of-bb"]
    assert [path.name for path in (paths.builds() / "index").iterdir()] == ["kbb.json"]
    assert gc("--older-than", "10") == [new.folder]
    assert gc("--older-than", "0") == []


def test_a_build_that_was_looked_up_since_is_used(home: Path) -> None:
    made = stored("aa", home, days=40)
    assert cache.look_up("kaa", made.model)
    assert gc() == []


def test_leftovers_are_removed_and_what_somebody_uses_stays(home: Path) -> None:
    (home / "results").mkdir(parents=True)
    (home / "builds" / "index").mkdir(parents=True)
    left = [home / "runs" / gone(name) for name in ("copy", "ort")]
    left += [home / gone("calibration.json.tmp").replace("-a1b2c3", ".a1.tmp"), home / "results" / f"{gone('id')}.tmp"]
    left += [home / "builds" / "index" / f"{gone('k.json')}.tmp"]
    for path in left:
        path.mkdir(parents=True)
    for name in ("samples.bin", "outputs.json"):
        (left[1] / name).write_bytes(b"12345678")
    used = [paths.new_run("ort"), home / "results" / f"id.{paths.owner()}.tmp", home / "runs" / "of-another-version"]
    for path in used:
        path.mkdir()
    assert sorted(gc()) == sorted(left)
    assert not any(path.exists() for path in left)
    assert all(path.is_dir() for path in used)


def test_an_environment_that_was_not_finished_is_removed_unless_somebody_installs_it(home: Path) -> None:
    folder = home / "environments" / "ort-venv-0123456789ab"
    (folder / "lib").mkdir(parents=True)
    ready = home / "environments" / "torch-venv-0123456789ab"
    ready.mkdir()
    (ready / "isobench-environment.json").write_text("{}")
    with FileLock(folder.with_name(f"{folder.name}.lock"), what="the environment"):
        assert gc() == []
    assert gc() == [folder]
    assert [path.name for path in (home / "environments").iterdir()] == [ready.name]


def test_records_without_builds_and_files_without_records_are_removed(home: Path) -> None:
    index = paths.builds() / "index"
    index.mkdir(parents=True)
    (index / "k.json").write_text(json.dumps({"schema": cache.SCHEMA, "builds": [{"id": "gone", "sets": []}]}))
    (index / "broken.json").write_text("{")
    (index / "k.lock").write_text("4711\nhost\tuser\tsince\tisobench\n")
    (paths.builds() / "onnx" / "never-built").mkdir(parents=True)
    with cache.lock_of("other", "the build", on_wait=print):
        assert sorted(path.name for path in gc()) == ["broken.json", "k.json", "k.lock"]
    assert [path.name for path in gc()] == ["never-built"]
    assert not list(index.iterdir())


def test_a_sweep_that_was_never_written_is_removed_when_it_is_a_week_old(home: Path) -> None:
    never, night = (home / "sweeps" / name for name in ("never", "night"))
    for folder in (never, night):
        (folder / "results").mkdir(parents=True)
    (night / "sweep.json").write_text("{}")
    assert gc() == []
    week_ago = time.time() - 8 * 86400
    for folder in (never, night):
        os.utime(folder, (week_ago, week_ago))
    assert gc() == [never]


def test_days_must_be_a_number() -> None:
    for text in ("nan", "-1", "many", "inf"):
        code, _, errors = call("cache", "gc", "--older-than", text)
        assert code == 2
        assert "Traceback" not in errors
