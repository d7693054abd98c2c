"""Adding a provider takes one module and one line: nobody else knows the names."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from isobench import paths
from isobench.cli.env_make import create
from isobench.environments import providers
from isobench.environments.specs import Spec
from isobench.errors import UsageError

PACKAGES = {Path(inspect.getfile(type(providers.get(name)))).parent for name in providers.NAMES}
PACKAGES.discard(paths.PACKAGE / "environments")
SOURCES = sorted(file for file in paths.PACKAGE.rglob("*.py") if file.parent not in PACKAGES)


def compared_names(file: Path) -> set[str]:
    """The names of providers that a module compares something with."""
    compared = [node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.Compare)]
    constants = [node for one in compared for node in ast.walk(one) if isinstance(node, ast.Constant)]
    return {str(node.value) for node in constants} & set(providers.NAMES)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(paths.PACKAGE)))
def test_no_module_compares_the_name_of_a_provider(file: Path) -> None:
    assert not compared_names(file)


@pytest.mark.parametrize("name", providers.NAMES)
def test_each_provider_bears_its_name_and_describes_itself(name: str) -> None:
    provider = providers.get(name)
    assert provider.name == name
    assert provider.description


def test_the_option_lists_every_provider() -> None:
    help_text = CliRunner().invoke(create, ["--help"]).output
    assert all(name in help_text for name in providers.NAMES)


def test_an_unknown_provider_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match="there is no provider 'pip'") as caught:
        providers.get("pip")
    assert "conda, venv, container, adopted" in caught.value.hint


@pytest.mark.parametrize("name", providers.NAMES)
def test_a_spec_with_neither_locks_nor_an_image_can_be_installed_by_none(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("ISOBENCH_CONTAINER_IMAGE", raising=False)
    spec = Spec(name="bare", folder=tmp_path, python="3.11", lock_file=tmp_path / "requirements.txt", provider=name)
    assert not providers.get(name).can_install(spec)
    assert providers.get(name).find(spec) is None


def test_asking_the_providers_loads_nothing_that_only_an_installation_needs(tmp_path: Path) -> None:
    code = (
        "import sys; from isobench.environments import providers, specs; from dataclasses import replace\n"
        "spec = specs.spec('ort')\n"
        "for name in providers.NAMES: providers.get(name).find(replace(spec, provider=name))\n"
        "print(*sorted(sys.modules))"
    )
    env = {**os.environ, "ISOBENCH_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    loaded = set(done.stdout.split())
    heavy = {"rattler", "uv", "json", "concurrent.futures", "subprocess", "tempfile", "difflib", "asyncio"}
    ours = {"uv.command", "uv.installing", "conda.engine", "conda.meta", "container.engine", "provision", "manifest"}
    assert not heavy & loaded
    assert not {f"isobench.environments.{name}" for name in ours} & loaded
