"""What isobench knows of its environments without looking at an installed one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isobench import environments, paths
from isobench.environments import Spec, specs, store
from isobench.errors import ProvisionError, UsageError
from isobench.system import nvidia_requirements


def handmade(folder: Path, lock: str = "numpy==2.4.6 \\\n    --hash=sha256:00\n", **changes: str) -> Spec:
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text(lock)
    values: dict[str, Any] = {
        "name": "made",
        "folder": folder,
        "python": "3.11",
        "lock_file": folder / "requirements.txt",
    }
    return environments.Spec(**values | changes)


def test_the_environments_of_the_issue_are_there() -> None:
    assert {"ort", "torch"} <= set(environments.names())


LOCKED = [name for name in environments.names() if environments.spec(name).is_locked]


@pytest.mark.parametrize("name", LOCKED)
def test_every_package_in_a_lock_is_pinned_and_hashed_and_no_address_is_named(name: str) -> None:
    text = environments.spec(name).lock_file.read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    for entry in re.split(r"(?<!\\)\n", text.strip()):
        assert re.match(r"[a-z0-9][a-z0-9-]*==\S+ \\\n\s+--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("name", environments.names())
def test_every_environment_has_all_that_it_takes(name: str) -> None:
    spec = environments.spec(name)
    assert re.fullmatch(r"3\.\d+", spec.python)
    assert spec.requirements_file.is_file()
    assert spec.smoke_file.is_file()
    lines = [line for line in spec.requirements_file.read_text().splitlines() if not line.startswith("#")]
    wanted = {re.split(r"[=<>\[]", line)[0] for line in lines}
    assert wanted
    if spec.is_locked:  # tensorrt is locked where its libraries can be had
        assert wanted <= set(spec.locked())


def test_torch_is_locked_to_the_cpu_build() -> None:
    assert environments.spec("torch").locked()["torch"] == "2.13.0+cpu"


def test_what_runs_on_gpus_is_locked_for_one_major_version_of_cuda() -> None:
    for name in ("ort-cuda", "tensorrt-rtx", "torch-cuda"):
        assert list(nvidia_requirements.cuda_majors(environments.spec(name).locked())) == [13]
    assert environments.spec("torch-cuda").locked()["torch"] == "2.13.0"


def test_an_unknown_name_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(UsageError, match="there is no environment 'trch'; did you mean torch") as caught:
        environments.spec("trch")
    assert "ort, ort-cuda, tensorrt, tensorrt-rtx, torch, torch-cuda" in caught.value.hint


@pytest.mark.parametrize("name", ["", ".", "..", "../envs/ort", "ort/", "/etc"])
def test_a_name_that_is_a_path_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="there is no environment"):
        environments.spec(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../builds", "ort/", "*", "/etc"])
def test_nothing_but_environments_is_ever_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    (tmp_path / "builds").mkdir()
    (tmp_path / "environments" / "something").mkdir(parents=True)
    with pytest.raises(UsageError, match="there is no environment"):
        environments.remove(name)
    assert (tmp_path / "builds").is_dir()
    assert (tmp_path / "environments" / "something").is_dir()


def test_the_identity_changes_with_the_lock_the_python_and_the_provider(tmp_path: Path) -> None:
    one = handmade(tmp_path / "a")
    assert re.fullmatch(r"[0-9a-f]{64}", one.identity())
    assert handmade(tmp_path / "b").identity() == one.identity()
    for name, text in (("e", "version: 1\n"), ("f", "version: 1 \n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "conda-lock.yml").write_text(text)
    others = {
        handmade(tmp_path / "c", lock="numpy==2.4.5 \\\n    --hash=sha256:00\n").identity(),
        handmade(tmp_path / "d", python="3.12").identity(),
        handmade(tmp_path / "e", provider="conda").identity(),
        handmade(tmp_path / "f", provider="conda").identity(),
        one.identity(),
    }
    assert len(others) == 5


def test_the_folder_carries_name_provider_and_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    spec = handmade(tmp_path / "a")
    assert store.folder_of(spec) == tmp_path / "environments" / f"made-venv-{spec.identity()[:12]}"


def test_an_environment_without_its_marker_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    spec = handmade(tmp_path / "a")
    assert environments.find(spec) is None
    folder = store.folder_of(spec)
    (folder / "bin").mkdir(parents=True)
    assert environments.find(spec) is None
    (folder / store.MARKER_FILE).write_text("{}")
    assert environments.find(spec).python == folder / "bin" / "python"


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"schema": "isobench.environment/99"}', "\xff"])
def test_a_broken_manifest_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: str
) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path))
    environment = store.expected(environments.spec("ort"))
    environment.folder.mkdir(parents=True)
    environment.marker.write_text(manifest, encoding="latin-1")
    with pytest.raises(ProvisionError, match=r"isobench-environment\.json") as caught:
        environments.check(environment)
    name = environment.folder.name
    assert (
        caught.value.hint == f"Install it again: isobench env remove {name} && isobench env create ort --provider venv"
    )


def test_a_missing_lock_is_refused_with_the_way_out(tmp_path: Path) -> None:
    spec = handmade(tmp_path / "a")
    spec.lock_file.unlink()
    assert environments.find(spec) is None
    with pytest.raises(ProvisionError, match=r"the made environment isn't locked: .* does not exist") as caught:
        store.expected(spec)
    assert "isobench env lock made" in caught.value.hint
    assert "isobench env adopt made " in caught.value.hint


@pytest.mark.parametrize("said", [b"3.11.7\n", b"python 3.11", b"", b"3.11\xe9"])
def test_a_python_that_is_no_minor_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "python-version").write_bytes(said)
    monkeypatch.setenv("ISOBENCH_ENVS", str(tmp_path))
    with pytest.raises(UsageError, match="must hold a minor version of Python") as caught:
        environments.spec("odd")
    assert caught.value.message.startswith(str(tmp_path / "odd" / "python-version"))


def test_a_name_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "environment.yml"
    file.write_bytes("name: café\n".encode("latin-1"))
    with pytest.raises(UsageError, match="can't be the name of an environment"):
        specs.of_file(file)


def test_names_are_compared_as_the_packaging_standard_says() -> None:
    assert specs.normalised("ML_Dtypes") == specs.normalised("ml.dtypes") == "ml-dtypes"


def test_importing_environments_starts_nothing_heavy() -> None:
    code = (
        "import sys, isobench.environments as e; e.find(e.spec('ort'));"
        "print([name for name in ('subprocess', 'rattler', 'tomllib', 'packaging', 'json', 'uv')"
        " if name in sys.modules])"
    )
    env = {"ISOBENCH_HOME": "/nowhere", "PYTHONPATH": str(paths.PACKAGE.parent)}
    printed = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
