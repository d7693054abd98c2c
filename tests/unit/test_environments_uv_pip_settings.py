"""pip's settings reach uv, and uv's own come first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isobench.environments import config
from isobench.environments.uv import command, pip_settings
from isobench.redaction import redacted


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}


def from_variables(**variables: str) -> tuple[dict[str, str], list[str]]:
    return pip_settings.for_uv({"PIP_CONFIG_FILE": os.devnull, "HOME": "/nonexistent", **variables})


def test_nothing_set_hands_on_nothing() -> None:
    assert from_variables() == ({}, [])


def test_every_setting_has_its_counterpart() -> None:
    given = {
        "PIP_INDEX_URL": "https://one.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://two.example/simple https://three.example/simple",
        "PIP_FIND_LINKS": "/wheels /more",
        "PIP_TRUSTED_HOST": "one.example",
        "PIP_CERT": "/certs.pem",
        "PIP_DEFAULT_TIMEOUT": "77",
        "PIP_NO_INDEX": "1",
    }
    assert from_variables(**given) == (
        {
            "UV_DEFAULT_INDEX": "https://one.example/simple",
            "UV_INDEX": "https://two.example/simple https://three.example/simple",
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            "UV_FIND_LINKS": "/wheels,/more",
            "UV_INSECURE_HOST": "one.example",
            "SSL_CERT_FILE": "/certs.pem",
            "UV_HTTP_TIMEOUT": "77",
        },
        ["--no-index"],
    )


@pytest.mark.parametrize(
    ("theirs", "pips"),
    [
        ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"),
        ("UV_INDEX_URL", "PIP_INDEX_URL"),
        ("UV_INDEX", "PIP_EXTRA_INDEX_URL"),
        ("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
        ("UV_FIND_LINKS", "PIP_FIND_LINKS"),
        ("UV_HTTP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"),
        ("SSL_CERT_FILE", "PIP_CERT"),
        ("SSL_CERT_DIR", "PIP_CERT"),
    ],
)
def test_what_uv_has_itself_configured_is_left_alone(theirs: str, pips: str) -> None:
    assert from_variables(**{theirs: "uv", pips: "pip"}) == ({}, [])


def test_a_setting_in_uv_toml_is_left_alone(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").write_text(
        'find-links = ["/theirs"]\n[pip]\nindex-url = "https://t.example"'
    )
    given = {
        "PIP_FIND_LINKS": "/ours",
        "PIP_INDEX_URL": "https://o.example",
        "PIP_EXTRA_INDEX_URL": "https://e.example",
    }
    handed_on, _ = pip_settings.for_uv({**home, "PIP_CONFIG_FILE": os.devnull, **given})
    assert handed_on == {"UV_INDEX": "https://e.example", "UV_INDEX_STRATEGY": "unsafe-best-match"}


def test_files_are_read_and_variables_come_before_them(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text("[global]\ntimeout = 5\nindex-url = https://old.example\n")
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://file.example\nextra_index_url =\n    https://a.example\n    https://b.example\n"
        "[install]\nfind-links = /file\n"
    )
    named = tmp_path / "named.conf"
    named.write_text("[global]\nno-index = true\ncert = /named.pem\n")
    settings = pip_settings.settings(
        {**home, "PIP_CONFIG_FILE": str(named), "PIP_INDEX_URL": "https://variable.example"}
    )
    assert settings["index-url"] == "https://variable.example"
    assert settings["extra-index-url"].split() == ["https://a.example", "https://b.example"]
    assert (settings["find-links"], settings["timeout"], settings["cert"]) == ("/file", "5", "/named.pem")
    assert settings["no-index"] == "true"


def test_a_broken_file_is_passed_over(home: dict[str, str], tmp_path: Path) -> None:
    named = tmp_path / "named.conf"
    named.write_text("not an ini file\n")
    assert pip_settings.settings({**home, "PIP_CONFIG_FILE": str(named), "PIP_FIND_LINKS": "/x"})["find-links"] == "/x"


def test_relative_folders_of_wheels_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    handed_on, _ = from_variables(PIP_FIND_LINKS="wheels https://w.example/x")
    assert handed_on == {"UV_FIND_LINKS": f"{tmp_path}/wheels,https://w.example/x"}


def test_a_folder_of_certificates_is_passed_as_one(tmp_path: Path) -> None:
    assert from_variables(PIP_CERT=str(tmp_path)) == ({"SSL_CERT_DIR": str(tmp_path)}, [])


def test_what_would_lead_uv_astray_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", "1")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.delenv("UV_PYTHON_DOWNLOADS", raising=False)
    variables, _ = command.environment()
    assert not {"VIRTUAL_ENV", "UV_NO_VERIFY_HASHES", "PYTHONPATH"} & set(variables)
    assert variables["UV_PYTHON_DOWNLOADS"] == "never"


def test_whether_pythons_are_downloaded_is_left_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "automatic")
    assert command.environment()[0]["UV_PYTHON_DOWNLOADS"] == "automatic"


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("at https://joe:pass@i.example/simple/x", "at https://***@i.example/simple/x"),
        ("`http://token@i.example` and https://a:b%40c@j.example", "`http://***@i.example` and https://***@j.example"),
        ("https://i.example/simple/a@b and joe@example", "https://i.example/simple/a@b and joe@example"),
    ],
)
def test_credentials_are_never_shown(output: str, shown: str) -> None:
    assert redacted(output) == shown


def test_a_user_whose_home_nobody_knows_has_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "ISOBENCH_PROVIDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # a number that has no line in /etc/passwd
    assert pip_settings.for_uv({"PIP_CONFIG_FILE": os.devnull}) == ({}, [])
    assert pip_settings.settings({}) == pip_settings.settings({"HOME": "/nonexistent"})
    assert config.value("provider", "ISOBENCH_PROVIDER") == ("", "")
