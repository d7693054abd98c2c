"""What `isobench cache` and `isobench remove` remove, and what they leave."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from sample_results import make, save

from isobench import paths
from isobench.builds import build, cache
from isobench.cli.main import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["isobench", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
    return int(leaving.value.code or 0), *capsys.readouterr()


def store(identity: str, *, made_s: int) -> Path:
    folder = paths.builds() / identity
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"0" * 1_000_000)
    file = folder / build.BUILD_FILE
    description = {"schema": build.SCHEMA, "name": "net", "class_name": "Net", "hash": "12ab", "onnx": {}}
    file.write_text(json.dumps(description))
    os.utime(file, (made_s, made_s))
    index = paths.builds() / "index"
    index.mkdir(exist_ok=True)
    (index / f"of-{identity}.json").write_text(json.dumps({"builds": [{"id": identity}]}))
    return folder


def test_builds_are_listed_with_their_sizes_and_removed_with_their_index_records(
    capsys: pytest.CaptureFixture[str],
) -> None:
    newer, older = store("bb11", made_s=86400), store("aa22", made_s=0)
    code, out, err = run(capsys, "cache", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["aa22", "bb11"]
    assert "1.0 MB  1970-01-01T00:00:00Z  net::12ab  (without an ONNX file)" in out
    assert "2 builds, 2.0 MB, in" in err
    assert [one["id"] for one in json.loads(run(capsys, "cache", "list", "--json")[1])] == ["aa22", "bb11"]
    assert json.loads(run(capsys, "cache", "show", "aa")[1])["class_name"] == "Net"
    assert run(capsys, "cache", "remove", "aa22")[1] == f"removed {older}\n"
    assert sorted(path.name for path in paths.builds().iterdir()) == ["bb11", "index"]
    assert [path.name for path in (paths.builds() / "index").iterdir()] == ["of-bb11.json"]
    assert run(capsys, "cache", "remove", "--all")[0] == 0
    assert not newer.exists()


def test_a_build_that_is_missing_or_not_named_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    store("ab11", made_s=0)
    store("ab22", made_s=0)
    for arguments, text in (
        (("remove", "cc"), "no build 'cc' in"),
        (("show", "ab"), "ab matches 2 builds: ab11, ab22"),
        (("remove",), "name the builds to remove, or give --all"),
        (("remove", "ab11", "--all"), "name the builds to remove, or give --all"),
    ):
        code, _, err = run(capsys, "cache", *arguments)
        assert code == 2
        assert text in err


def test_results_are_removed_by_their_ids_only(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(make(), tmp_path)
    home.mkdir()
    (tmp_path / "results").rename(paths.results())
    save(make(), tmp_path)
    other = tmp_path / "results" / make().id
    code, _, err = run(capsys, "remove", other)
    assert code == 6
    assert "isn't in" in err
    assert "--from" in err
    code, out, _ = run(capsys, "remove", make().id)
    assert (code, out) == (0, f"removed {paths.results() / make().id}\n")
    assert list(paths.results().iterdir()) == []
    assert run(capsys, "remove", make().id, "--from", tmp_path / "results")[0] == 0
    assert not other.exists()
    code, _, err = run(capsys, "remove", make().id)
    assert code == 6
    assert "no result" in err


def test_an_onnx_file_that_builds_share_counts_once_and_goes_with_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shared = paths.builds() / "onnx" / "c0ffee"
    shared.mkdir(parents=True)
    (shared / "model.onnx").write_bytes(b"0" * 5_000_000)
    for identity in ("aa11", "bb22"):
        folder = store(identity, made_s=0)
        description = json.loads((folder / build.BUILD_FILE).read_text())
        description["onnx"] = {"file": "../onnx/c0ffee/model.onnx"}
        (folder / build.BUILD_FILE).write_text(json.dumps(description))
    _, out, err = run(capsys, "cache", "list")
    assert [line.split()[1] for line in out.splitlines()] == ["6.0", "6.0"]
    assert "2 builds, 7.0 MB, in" in err
    run(capsys, "cache", "remove", "aa11")
    assert (shared / "model.onnx").is_file()
    run(capsys, "cache", "remove", "bb22")
    assert not shared.exists()
    (paths.builds() / "onnx" / "of-a-model-that-was-never-built").mkdir()
    run(capsys, "cache", "remove", "--all")
    assert list((paths.builds() / "onnx").iterdir()) == []


def test_unused_onnx_files_stay_while_somebody_builds(capsys: pytest.CaptureFixture[str]) -> None:
    unused = paths.builds() / "onnx" / "ab12.tmp"
    unused.mkdir(parents=True)
    with cache.lock_of("0123", "the build of net", on_wait=print):
        code, _, err = run(capsys, "cache", "remove", "--all")
        assert code == 0
        assert err.startswith(f"unused ONNX files stay, because pid {os.getpid()} ")
        assert unused.is_dir()
    assert run(capsys, "cache", "remove", "--all") == (0, "", "")
    assert not unused.exists()
