"""A script's own dependencies, declared in the standard inline block (PEP 723, "Inline script metadata"):

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["transformers==5.2.0"]
    # ///

They are resolved once, with the base environment's lock as constraints, so that a script can add packages but
not change those that measure it. The lock is stored under `locks/`, keyed by everything that decides its content.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isobench import paths
from isobench.environments.specs import LOCK_FILE, REQUIREMENTS_FILE, Spec, platform_name, spec, text_of
from isobench.environments.uv import requirements_lock
from isobench.errors import ModelError, ProvisionError
from isobench.failures import Ending
from isobench.system import reading
from isobench.system.files import write_atomically
from isobench.system.locks import FileLock

_BEGINS = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_END = "# ///"
_START = "# /// script"
_LIKE_A_START = re.compile(r"(?mi)^[ \t]*#[ \t]*/{3,4}[ \t]*script[ \t]*$")
_KEYS = ("dependencies", "requires-python", "tool")


def for_script(script: Path, base: str, *, progress: Callable[[str], None]) -> Spec:
    """The spec of the environment that a script needs: the base's own if the script declares no dependencies.

    Raises:
        ModelError: the block is malformed (the message names the line), or requires another Python.
        ProvisionError: its dependencies can't be combined with the base's packages.
    """
    base_spec = spec(base)
    metadata, line = read_block(script)
    _refuse_unsupported(metadata, script, line)
    dependencies = _dependencies(metadata, script, line)
    _refuse_other_python(metadata, base_spec, script)
    if not dependencies:
        return base_spec
    wanted = "".join(f"{dependency}\n" for dependency in dependencies)
    parts = ("isobench.lock/1", base_spec.lock_sha256, base_spec.python, platform_name(), wanted)
    folder = paths.locks() / hashlib.sha256("\n".join(parts).encode()).hexdigest()
    lock_file = folder / LOCK_FILE
    if not lock_file.is_file():
        what = f"the lock of the dependencies of {script.name}"
        file = folder.with_suffix(".lock")
        with FileLock(file, what=what, on_wait=progress, failure=Ending.ENVIRONMENT):
            if not lock_file.is_file():
                progress(f"{script.name}: resolving its dependencies ({', '.join(dependencies)})")
                _resolve(wanted, folder, base_spec, script, progress)
    return Spec(
        name=f"{base}-script", folder=base_spec.folder, python=base_spec.python, lock_file=lock_file, for_script=True
    )


def read_block(script: Path) -> tuple[dict[str, Any], int]:
    """The block's table, and the line of the script where its content starts; {} if there is no block.

    Raises:
        ModelError: there are two blocks, or the block isn't TOML, or what was meant as a block is none.
    """
    text = _text(script)
    blocks = [block for block in _blocks(text) if block.kind == "script"]
    if not blocks:
        _refuse_almost_a_block(text, script)
        return {}, 0
    if len(blocks) > 1:
        second = blocks[1].line
        raise ModelError(f"{script}:{second}: a second script block", hint="Put all dependencies into one block.")
    start = blocks[0].line + 1
    lines = [line[2:] if line.startswith("# ") else line[1:] for line in blocks[0].lines]
    try:
        return reading.parse_toml("\n".join(lines)), start
    except ValueError as error:
        place = re.search(r"at line (\d+)", str(error))
        at = start + (int(place[1]) if place else len(lines)) - 1
        raise ModelError(
            f"{script}:{at}: the script block isn't TOML: {error}",
            hint='Write for instance: # dependencies = ["package==1.2", "other"]',
        ) from None


class _Block(NamedTuple):
    kind: str
    line: int
    """Of its start, from 1."""
    lines: Sequence[str]


def _blocks(text: str) -> Iterator[_Block]:
    r"""What the standard's own regular expression finds, in a time that grows with the text and not with its square:

    (?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$
    """
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        begins = _BEGINS.fullmatch(lines[at])
        if begins is None:
            at += 1
            continue
        after = at + 1  # the first line that isn't a comment
        while after < len(lines) and (lines[after] == "#" or lines[after].startswith("# ")):
            after += 1
        end = next((place for place in range(after - 1, at + 1, -1) if lines[place] == _END), None)
        if end is not None:
            yield _Block(begins[1], at + 1, lines[at + 1 : end])
        at = after  # what begins after the last end has none


def _text(script: Path) -> str:
    """Without a byte order mark and with universal newlines, which the standard's expression doesn't know.

    Other encodings, which Python can read, have no say in a block.
    """
    try:
        return reading.read_text(script, errors="surrogateescape")
    except OSError as error:
        raise ModelError(f"{script} can't be read: {error.strerror}") from None


def _refuse_almost_a_block(text: str, script: Path) -> None:
    """The standard ignores a block with a mistake in its frame; its author would wonder why."""
    start = _LIKE_A_START.search(text)
    if start is None:
        return
    line = _line(text, start.start())
    if start[0] != _START:
        raise ModelError(
            f"{script}:{line}: a script block must start with the line {_START!r}, got {start[0]!r}",
            hint=f"Write: {_START}",
        )
    for number, content in enumerate(text.splitlines()[line:], line + 1):
        if content == "# ///":
            break
        if not content.startswith("#"):
            raise ModelError(f"{script}:{line}: the script block isn't closed", hint="End it with the line: # ///")
        if content.rstrip() == "# ///" or content.replace(" ", "") == "#///":
            raise ModelError(
                f"{script}:{number}: a script block must end with the line '# ///', got {content!r}",
                hint="Write: # ///",
            )
        if content[1:2] not in {"", " "}:
            raise ModelError(
                f"{script}:{number}: a line of a script block must be '#' or start with '# ', got {content!r}",
                hint="Put a space after the #.",
            )
    else:
        raise ModelError(f"{script}:{line}: the script block isn't closed", hint="End it with the line: # ///")


def _refuse_unsupported(metadata: dict[str, Any], script: Path, line: int) -> None:
    """Refuse keys that the standard doesn't have, and settings of uv's, which would have an effect with uv alone."""
    from isobench.system.names import did_you_mean

    for key in metadata:
        if key not in _KEYS:
            raise ModelError(
                f"{script}:{_line_of(key, script, line)}: unknown key {key!r} in the script block"
                f"{did_you_mean(key, _KEYS)}",
                hint=f"The keys are: {', '.join(_KEYS)}.",
            )
    tool = metadata.get("tool")
    settings = tool.get("uv") if isinstance(tool, dict) else None
    if settings:
        names = ", ".join(settings)
        raise ModelError(
            f"{script}:{_line_of('tool.uv', script, line)}: [tool.uv] in the script block isn't supported: {names}",
            hint="Remove it; name versions in dependencies, and set UV_INDEX to use an index of your own.",
        )


def _dependencies(metadata: dict[str, Any], script: Path, line: int) -> list[str]:
    """The declared requirements, sorted: their order means nothing."""
    from packaging.requirements import InvalidRequirement, Requirement

    declared = metadata.get("dependencies", [])
    if not isinstance(declared, list) or not all(isinstance(one, str) for one in declared):
        raise ModelError(
            f"{script}:{_line_of('dependencies', script, line)}: dependencies must be a list of strings",
            hint='Write for instance: # dependencies = ["package==1.2", "other"]',
        )
    for one in declared:
        try:
            requirement = Requirement(one)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{script}:{_line_of(one, script, line)}: {one!r} is not a requirement: {reason}"
            ) from None
        if requirement.url:
            raise ModelError(
                f"{script}:{_line_of(one, script, line)}: {one!r} is a URL, which a lock must not contain",
                hint="Name a package and its version; set UV_INDEX to use an index of your own.",
            )
    return sorted(set(declared))


def _refuse_other_python(metadata: dict[str, Any], base_spec: Spec, script: Path) -> None:
    wanted = metadata.get("requires-python")
    if wanted is None:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        if not isinstance(wanted, str):
            raise InvalidSpecifier(wanted)
        fits = any(SpecifierSet(wanted).contains(f"{base_spec.python}.{patch}") for patch in (0, 999))
    except InvalidSpecifier:
        raise ModelError(f"{script}: requires-python must be a version specifier, got {wanted!r}") from None
    if not fits:
        raise ModelError(
            f"{script} requires Python {wanted}; the {base_spec.name} environment has Python {base_spec.python}",
            hint=f"If the script works with Python {base_spec.python}, change its requires-python.",
        )


def _resolve(wanted: str, folder: Path, base_spec: Spec, script: Path, progress: Callable[[str], None]) -> None:
    if not requirements_lock.is_sound(text_of(base_spec.lock_file)):
        # uv would take what it can still read for all of the constraints.
        raise ProvisionError(
            f"the lock of {base_spec.name}, {base_spec.lock_file}, is damaged",
            hint=f"Resolve it again: {base_spec.relock}",
        )
    extra, draft = folder / REQUIREMENTS_FILE, folder / "draft.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(extra, wanted)
        draft.unlink(missing_ok=True)
        requirements_lock.resolve(
            [base_spec.requirements_file, extra],
            draft,
            base_spec,
            options=["--constraints", base_spec.lock_file, *requirements_lock.native_options()],
            what=f"the dependencies of {script} can't be combined with those of the {base_spec.name} environment",
            loosen=f"Loosen the versions in the script's block; those of {base_spec.lock_file} are fixed.",
            progress=progress,
        )
        draft.replace(folder / LOCK_FILE)
    except ProvisionError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except OSError as error:
        raise ProvisionError(
            f"the lock for {script} can't be written: {error.filename or folder}: {error.strerror}",
            hint="Free some space, or set ISOBENCH_HOME to a folder that you can write to.",
        ) from None


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _line_of(needle: str, script: Path, start: int) -> int:
    """The first line of the script, from `start` on, that contains `needle`; `start` if none does."""
    for number, line in enumerate(_text(script).splitlines(), 1):
        if number >= start and needle in line:
            return number
    return start
