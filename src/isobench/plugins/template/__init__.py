"""Writes the start of a plugin: a package with one working runtime, for its author to change.

The templates are the files `*.in` beside this module, with NAME, MODULE and CLASS between at signs. The environment is
that of `ort` under another name, with its locks, so that nothing has to be resolved before the first run.
"""

from __future__ import annotations

import keyword
import re
import shutil
from pathlib import Path

from isobench import paths
from isobench.errors import UsageError

_TEMPLATES = Path(__file__).parent
_FILES = {
    "setup.cfg.in": "setup.cfg",
    "pyproject.toml.in": "pyproject.toml",
    "init.py.in": "@MODULE@/__init__.py",
    "worker.py.in": "@MODULE@/workers/@MODULE@_worker.py",
    "test.py.in": "tests/test_@MODULE@.py",
}


def write(name: str, folder: Path) -> list[Path]:
    """Write a plugin with the runtime `name` into a new `folder`; return its files.

    Raises:
        UsageError: the name is no valid name of a runtime and a package, or the folder exists.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise UsageError(
            f"{name!r} can't be the name of a runtime",
            hint="Use lower-case words with dashes, for instance my-runtime.",
        )
    if folder.exists():
        raise UsageError(f"{folder} already exists", hint="Name a new folder: --folder DIR")
    words = {
        "@NAME@": name,
        "@MODULE@": module,
        "@CLASS@": "".join(word.capitalize() for word in name.split("-")) + "RT",
    }
    try:
        written = [_write(folder, template, target, words) for template, target in _FILES.items()]
        written += _environment(folder / module / "envs" / name, name)
    except OSError as error:
        raise UsageError(f"{error.filename} can't be written: {error.strerror}") from None
    return written


def _write(folder: Path, template: str, target: str, words: dict[str, str]) -> Path:
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    for word, meaning in words.items():
        text, target = text.replace(word, meaning), target.replace(word, meaning)
    file = folder / target
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def _environment(folder: Path, name: str) -> list[Path]:
    shutil.copytree(paths.ENVS / "ort", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in (("environment.yml", "name: ort\n", f"name: {name}\n"), ("smoke.py", "`ort`", f"`{name}`")):
        text = (folder / file).read_text(encoding="utf-8")
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
    return sorted(folder.iterdir())
