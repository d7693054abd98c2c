"""Where files lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from isobench import paths


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ISOBENCH_HOME": "/data/isobench", "XDG_DATA_HOME": "/xdg"}, "/data/isobench"),
        ({"ISOBENCH_HOME": "~/mine"}, "/home/ada/mine"),
        ({"ISOBENCH_HOME": "/data/x/../isobench"}, "/data/isobench"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/isobench"),
        ({"XDG_DATA_HOME": ""}, "/home/ada/.local/share/isobench"),
        ({"XDG_DATA_HOME": "relative"}, "/home/ada/.local/share/isobench"),
        ({}, "/home/ada/.local/share/isobench"),
    ],
)
def test_the_home_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for name in ("ISOBENCH_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert paths.home() == Path(expected)


def test_a_home_of_a_user_who_does_not_exist_is_a_folder_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_HOME", "~nosuchuser/x")
    assert paths.home() == Path.cwd() / "~nosuchuser" / "x"


def test_a_home_in_links_that_lead_to_each_other_is_no_error_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("ISOBENCH_HOME", f"{tmp_path}/loop/../x")
    assert paths.home().name == "x"
