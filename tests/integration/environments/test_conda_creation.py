"""Conda environments, from `environment.yml` to a ready one: a real channel, a real Python, real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from environment_world import RunPython, World
from loopback import ChannelServer

from isobench import environments
from isobench.environments import verification
from isobench.errors import ProvisionError

pytestmark = pytest.mark.integration


def test_an_environment_is_installed_from_its_lock_with_both_layers(
    conda: World, channel: Path, run_python: RunPython
) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox", "greeter")
    made = conda.create(spec)
    assert made.folder.name == f"tiny-conda-{spec.identity()[:12]}"
    assert run_python(made, "import sys, alpha; print(sys.prefix, alpha.VERSION)") == f"{made.folder} 1.0"
    assert (made.folder / "lib" / "greeter.txt").read_text() == f"I live in {made.folder}\n"
    assert environments.verify(made) == []
    environments.check(made)
    assert environments.find(spec) == made
    assert [line.partition(": ")[2].split(" ")[0] for line in conda.said] == [
        "installing",
        "installing",
        "running",
        "ready",
    ]


def test_the_manifest_names_conda_packages_tools_locks_and_activation(conda: World, channel: Path) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox 1.0", "greeter")
    made = conda.create(spec)
    manifest = made.manifest()
    there = {package.name: package.version for package in manifest.conda_packages}
    assert there == {
        "greeter": "1.0",
        "python": manifest.python.version,
        "toolbox": "1.0",
        "tzdata": "2026c",
    }
    assert [package.name for package in manifest.packages] == ["alpha", "beta"]
    assert {"rattler", "uv"} == manifest.tools.keys()
    assert manifest.conda_lock_sha256 == spec.conda_lock_sha256
    assert (
        manifest.activation
        == made.activation()
        == {
            "CONDA_PREFIX": str(made.folder),
            "CONDA_DEFAULT_ENV": str(made.folder),
            "CONDA_SHLVL": "1",
            "GREETER_MODE": "polite",
            "GREETING": f"hello from {made.folder}",
            "PATH": f"{made.folder}/bin",
        }
    )


def test_files_are_copied_so_that_an_edit_stays_where_it_was_made(conda: World, channel: Path) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox")
    made = conda.create(spec)
    for file in made.folder.rglob("*"):
        assert file.is_symlink() or file.is_dir() or file.stat().st_nlink == 1, file
    (made.folder / "lib" / "toolbox.txt").write_text("corrupted\n")
    other = conda.create(replace(spec, name="other"))
    assert (other.folder / "lib" / "toolbox.txt").read_text() == "two\n"


def test_a_corrupted_cache_is_detected_and_fetched_again(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = conda.root / "own-cache"
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(cache))
    spec = conda.conda_spec(channel.as_uri(), "toolbox")
    conda.create(spec)
    [cached] = cache.glob("pkgs/toolbox-*/lib/toolbox.txt")
    cached.write_text("spo!\n"[:4])
    other = conda.create(replace(spec, name="other"))
    assert (other.folder / "lib" / "toolbox.txt").read_text() == "two\n"


def test_the_cache_alone_is_enough_when_the_channel_is_gone(
    conda: World, server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = conda.conda_spec(server.url("none"), "toolbox")
    conda.create(spec)
    text = spec.conda_lock_file.read_text()
    asked = len(server.asked)
    made = conda.create(replace(spec, name="other"))
    assert environments.verify(made) == []
    assert len(server.asked) == asked
    assert text == spec.conda_lock_file.read_text()


def test_a_lock_of_conda_packages_alone_needs_no_python_layer(
    conda: World, channel: Path, run_python: RunPython
) -> None:
    spec = conda.conda_spec(channel.as_uri(), smoke="import json\n")
    spec.requirements_file.unlink()
    assert environments.lock(spec, progress=conda.said.append) == ["requirements.txt: no packages"]
    made = conda.create(replace(environments.spec("tiny"), provider="conda"))
    assert made.manifest().packages == ()
    assert "rattler" in made.manifest().tools


def test_a_package_in_both_locks_is_refused(conda: World, channel: Path, tmp_path: Path) -> None:
    import conda_world
    import local_channel

    own = tmp_path / "own"
    site = f"lib/python{local_channel.MINOR}/site-packages"
    conda_world.tiny(
        own,
        tmp_path / "staging",
        "alpha",
        "1.0",
        {f"{site}/alpha/__init__.py": "", f"{site}/alpha-1.0.dist-info/METADATA": "Name: alpha\nVersion: 1.0\n"},
    )
    local_channel.index(own)
    spec = conda.conda_spec(channel.as_uri(), lock=False)
    text = spec.environment_file.read_text().replace("channels:\n", f"channels:\n  - {own.as_uri()}\n")
    spec.environment_file.write_text(text + "  - alpha\n")
    environments.lock(spec, progress=conda.said.append)
    with pytest.raises(ProvisionError, match=r"alpha is in both conda-lock\.yml and requirements\.txt") as caught:
        conda.create(replace(environments.spec("tiny"), provider="conda"))
    assert caught.value.hint.startswith(f"Remove it from {spec.environment_file} or from ")


def test_what_is_edited_added_or_removed_is_found(conda: World, channel: Path) -> None:
    made = conda.create(conda.conda_spec(channel.as_uri(), "toolbox"))
    (made.folder / "lib" / "toolbox.txt").write_text("Two\n")
    (made.folder / "lib" / "libstray.so").touch()
    (made.folder / "bin" / "python3").unlink()
    [record] = (made.folder / "conda-meta").glob("tzdata-*.json")
    record.write_text(record.read_text() + "\n")
    assert environments.verify(made) == [
        "tzdata 2026c 0 was reinstalled: its RECORD differs",
        f"python {made.manifest().python.version} 0_cpython: bin/python3 is missing",
        "toolbox 2.0 0: lib/toolbox.txt was changed",
        "lib/libstray.so was added and belongs to no package",
    ]
    with pytest.raises(ProvisionError, match="the tiny environment was modified") as caught:
        environments.check(made)
    assert caught.value.hint == (
        f"Install it again: isobench env remove {made.folder.name} && isobench env create tiny --provider conda"
    )


def test_the_fast_check_reads_no_file_of_a_package(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = conda.create(conda.conda_spec(channel.as_uri(), "toolbox"))
    monkeypatch.setattr(verification, "verify", lambda _environment: pytest.fail("all was hashed"))
    environments.check(made)


@pytest.mark.parametrize("folder", ["with some spaces", "deep/" + "x" * 180])
def test_the_prefix_may_have_spaces_and_be_long(
    conda: World, channel: Path, run_python: RunPython, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(conda.root / folder))
    made = conda.create(conda.conda_spec(channel.as_uri(), "greeter"))
    assert run_python(made, "import sys, beta; print(sys.prefix)") == str(made.folder)
    assert (made.folder / "lib" / "greeter.txt").read_text() == f"I live in {made.folder}\n"
    assert made.activation()["GREETING"] == f"hello from {made.folder}"
    assert environments.verify(made) == []


def test_a_worker_gets_the_variables_of_the_activated_environment(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isobench.supervisor import variables

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    made = conda.create(conda.conda_spec(channel.as_uri(), "greeter"))
    found = variables.of_worker(made, threads=1)
    assert found["PATH"] == f"{made.folder}/bin:/usr/bin:/bin"
    assert found["GREETING"] == f"hello from {made.folder}"


def test_conda_lock_reads_what_was_written_and_renders_it(conda: World, channel: Path, tmp_path: Path) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox")
    code = (
        "import sys, pathlib; from conda_lock.lockfile import parse_conda_lock_file as parse;"
        "print(sorted(p.name for p in parse(pathlib.Path(sys.argv[1])).package))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, spec.conda_lock_file], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "['python', 'toolbox', 'tzdata']\n"
    tool = [sys.executable, "-m", "conda_lock", "render", "-k", "explicit", str(spec.conda_lock_file)]
    subprocess.run(tool, cwd=tmp_path, capture_output=True, check=True)
    [rendered] = tmp_path.glob("conda-*.lock")
    lines = rendered.read_text().splitlines()
    assert "@EXPLICIT" in lines
    assert sum(line.startswith(channel.as_uri()) for line in lines) == 3


def test_the_command_line_goes_from_environment_yml_to_a_ready_environment(conda: World, server: ChannelServer) -> None:
    spec = conda.conda_spec(server.url("none"), "toolbox", lock=False)
    locked = conda.isobench("lock", "tiny")
    assert locked.returncode == 0, locked.stderr
    assert f"{spec.name}: linux-64: toolbox - -> 2.0" in locked.stdout.splitlines()
    created = conda.isobench("create", "tiny")
    assert created.returncode == 0, created.stderr
    assert "tiny: using provider conda (rattler and uv, from conda-lock.yml and requirements.txt)" in created.stderr
    reported = json.loads(conda.isobench("path", "tiny", "--json").stdout)
    assert reported["provider"] == "conda"
