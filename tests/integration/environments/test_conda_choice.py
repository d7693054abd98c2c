"""Which provider installs an environment, and channels that need a mirror or a password."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from environment_world import World
from loopback import ChannelServer

from isobench import environments
from isobench.environments import Spec, store
from isobench.environments.conda import provider as conda_provider
from isobench.errors import ProvisionError, UsageError

pytestmark = pytest.mark.integration


Choose = Callable[[Spec], tuple[str, list[str]]]
"""What is chosen for a spec, and what is said of it."""


@pytest.fixture
def chosen(conda: World) -> Choose:
    """What is chosen for a spec, and what is said of it."""

    def choose(spec: Spec) -> tuple[str, list[str]]:
        said: list[str] = []
        return environments.choose(spec, note=said.append).provider, said

    return choose


@pytest.mark.parametrize("fault", ["none", "private"])
def test_auto_takes_conda_where_the_channel_answers_and_venv_where_not(
    conda: World, server: ChannelServer, chosen: Choose, fault: str
) -> None:
    spec = conda.conda_spec(server.url("none"))
    spec.conda_lock_file.write_text(spec.conda_lock_file.read_text().replace("/none/", f"/{fault}/"))
    provider, [said] = chosen(environments.spec("tiny"))
    if fault == "none":
        assert provider == "conda"
        assert said.startswith("tiny: using provider conda (rattler and uv")
    else:
        assert provider == "venv"
        assert said.startswith("tiny: using provider venv (uv, from requirements.txt): the conda channel ")


def test_auto_waits_three_seconds_for_a_channel_and_no_longer(
    conda: World, server: ChannelServer, chosen: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conda_provider, "PROBE_TIMEOUT_S", 0.7)
    spec = conda.conda_spec(server.url("none"))
    spec.conda_lock_file.write_text(spec.conda_lock_file.read_text().replace("/none/", "/hang/"))
    assert chosen(environments.spec("tiny")) == (
        "venv",
        ["tiny: using provider venv (uv, from requirements.txt): conda channel unreachable: no answer within 0.7 s"],
    )


def test_auto_takes_what_is_there_and_asks_nobody(conda: World, server: ChannelServer, chosen: Choose) -> None:
    spec = conda.conda_spec(server.url("none"))
    conda.create(replace(spec, provider="venv"))
    assert chosen(environments.spec("tiny")) == ("venv", [])
    conda.create(spec)
    asked = len(server.asked)
    assert chosen(environments.spec("tiny")) == ("conda", [])
    assert len(server.asked) == asked


def test_auto_takes_venv_without_a_word_where_nobody_wrote_a_conda_lock(conda: World, chosen: Choose) -> None:
    assert chosen(conda.spec()) == ("venv", [])


@pytest.mark.parametrize("source", ["option", "variable", "configuration"])
def test_the_provider_is_set_by_option_variable_or_configuration(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    spec = conda.conda_spec(channel.as_uri())
    arguments = ["--provider", "conda"] if source == "option" else []
    if source == "variable":
        monkeypatch.setenv("ISOBENCH_PROVIDER", "conda")
    if source == "configuration":
        file = conda.root / "config" / "isobench" / "config.toml"
        file.parent.mkdir(parents=True)
        file.write_text('provider = "conda"\n')
    made = conda.isobench("create", "tiny", *arguments)
    assert made.returncode == 0, made.stderr
    assert "tiny: provider" not in made.stderr, "nothing was to find out"
    assert environments.find(spec) is not None


def test_an_unknown_provider_is_refused_with_those_that_there_are(
    conda: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = conda.spec()
    monkeypatch.setenv("ISOBENCH_PROVIDER", "docker")
    with pytest.raises(UsageError, match=r"there is no provider 'docker' \(ISOBENCH_PROVIDER\)") as caught:
        environments.choose(spec, note=print)
    assert caught.value.hint == "The providers are: auto, conda, venv, container, adopted."


def test_a_configuration_that_cant_be_read_is_reported(conda: World) -> None:
    file = conda.root / "config" / "isobench" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("provider = \n")
    with pytest.raises(UsageError, match=r"config\.toml can't be read: ") as caught:
        environments.choose(conda.spec(), note=print)
    assert caught.value.hint == "Fix or delete it."


def test_conda_where_nobody_wrote_a_lock_is_refused_with_the_way_out(
    conda: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = conda.spec()
    monkeypatch.setenv("ISOBENCH_PROVIDER", "conda")
    with pytest.raises(UsageError, match=r"tiny environment has no conda-lock\.yml") as caught:
        environments.choose(spec, note=print)
    assert caught.value.hint == f"Write {spec.environment_file}, then isobench env lock tiny; or use --provider venv."


def test_adopted_where_nothing_was_adopted_is_refused_with_the_way_out(
    conda: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOBENCH_PROVIDER", "adopted")
    with pytest.raises(ProvisionError, match="no interpreter was adopted for tiny") as caught:
        environments.choose(conda.spec(), note=print)
    assert caught.value.hint == "Adopt one: isobench env adopt tiny PREFIX_OR_PYTHON"


def test_a_mirror_in_rattlers_configuration_stands_in_for_the_channel(conda: World, server: ChannelServer) -> None:
    """conda-forge itself, which can't be reached from here: its name stays in the lock, its packages come from near."""
    file = conda.root / "config" / "rattler" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{server.url("none")}"]\n')
    spec = conda.conda_spec("conda-forge", "toolbox")
    text = spec.conda_lock_file.read_text()
    assert "url: https://conda.anaconda.org/conda-forge/noarch/toolbox-2.0-0.conda" in text
    assert "127.0.0.1" not in text
    assert environments.choose(environments.spec("tiny"), note=conda.said.append).provider == "conda"
    assert environments.verify(conda.create(spec)) == []


def test_a_private_channel_is_opened_by_rattlers_credentials_which_are_written_nowhere(
    conda: World, server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = conda.root / "credentials.json"
    credentials.write_text(json.dumps({"127.0.0.1": {"BearerToken": "open-sesame"}}))
    spec = conda.conda_spec(server.url("private"), "toolbox", lock=False)
    with pytest.raises(ProvisionError, match="the conda channel denied access") as caught:
        environments.lock(spec, progress=conda.said.append)
    assert caught.value.hint == "Give rattler your credentials: RATTLER_AUTH_FILE"
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(credentials))
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(conda.root / "home" / "own-cache"))
    environments.lock(spec, progress=conda.said.append)
    made = conda.create(replace(environments.spec("tiny"), provider="conda"))
    assert environments.verify(made) == []
    credentials.unlink()
    for file in (path for path in conda.root.rglob("*") if path.is_file() and not path.is_symlink()):
        assert b"open-sesame" not in file.read_bytes(), file


def test_an_environment_of_ones_own_is_found_in_envs_dir_and_by_its_file(
    conda: World, channel: Path, tmp_path: Path
) -> None:
    spec = conda.conda_spec(channel.as_uri(), "toolbox", name="mine")
    own = tmp_path / "own"
    shutil.copytree(spec.folder, own / "mine")
    (own / "mine" / "python-version").unlink()
    (own / "mine" / "smoke.py").unlink()
    shutil.rmtree(spec.folder)
    listed = conda.isobench("list", "--envs-dir", str(own))
    assert [line.split()[:3] for line in listed.stdout.splitlines()] == [["mine", "not", "made"]]
    by_name = conda.isobench("create", "mine", "--envs-dir", str(own), "--provider", "conda")
    assert by_name.returncode == 0, by_name.stderr
    by_file = conda.isobench("create", "--file", str(own / "mine" / "environment.yml"), "--provider", "conda")
    assert by_file.stdout == by_name.stdout
    assert by_file.stdout.startswith("mine: ")


def test_an_environment_of_ones_own_goes_before_isobenchs(
    conda: World, channel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = conda.spec(name="tiny")
    own = tmp_path / "own"
    shutil.copytree(ours.folder, own / "tiny")
    monkeypatch.setenv("ISOBENCH_ENVS", str(own))
    assert environments.spec("tiny").folder == own / "tiny"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("name: a b/c\ndependencies: [python 3.11.*]\n", "", ""),
        ("name: ../x\ndependencies:\n  - python 3.11.*\n", "'../x' can't be the name", "`name: my-env` in "),
        ("name: x\ndependencies:\n  - numpy\n", "environment.yml names no version of Python", "`python 3.11.*`, or"),
    ],
)
def test_a_file_that_cant_be_an_environment_is_refused(
    conda: World, tmp_path: Path, text: str, message: str, hint: str
) -> None:
    from isobench.environments import specs

    file = tmp_path / "mine" / "environment.yml"
    with pytest.raises(UsageError, match="there is no file"):
        specs.of_file(file)
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        specs.of_file(file)
    assert message in caught.value.message
    assert hint in caught.value.hint
    other = file.rename(file.with_name("env.yml"))
    with pytest.raises(UsageError, match=r"--file must be called environment\.yml"):
        specs.of_file(other)


def test_the_folder_of_an_environment_carries_its_provider(conda: World, channel: Path) -> None:
    spec = conda.conda_spec(channel.as_uri())
    names = {store.folder_of(replace(spec, provider=provider)).name for provider in ("conda", "venv")}
    assert len({name.rsplit("-", 1)[1] for name in names}) == 2
    assert {name.rsplit("-", 2)[1] for name in names} == {"conda", "venv"}
