"""What runs in an environment calls nobody, and writes into isobench's folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from isobench import paths
from isobench.environments import quiet
from isobench.workers import process_facts


def test_telemetry_is_off_and_recorded_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in quiet.SILENT.items():
        monkeypatch.setenv(name, value)
    assert quiet.SILENT.items() <= quiet.variables().items()
    assert quiet.SILENT.items() <= process_facts.recorded_variables().items()


def test_temporary_files_and_caches_have_folders_of_isobench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / "h"))
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(quiet, "_LONGEST", 1000)
    found = quiet.variables()
    assert Path(found["TMPDIR"]) == paths.temporary()
    assert paths.temporary().stat().st_mode & 0o777 == 0o700
    for name in ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "CUDA_CACHE_PATH"):
        assert Path(found[name]).is_relative_to(paths.home())


def test_a_folder_of_the_users_own_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert "TMPDIR" not in quiet.variables()


def test_a_folder_whose_name_is_too_long_for_sockets_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setenv("ISOBENCH_HOME", str(tmp_path / ("long" * 30)))
    assert "TMPDIR" not in quiet.variables()
    assert not paths.temporary().exists()
