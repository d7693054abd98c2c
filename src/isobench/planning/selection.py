"""Names that the user typed -> Models: scripts, `.onnx` files, globs, and `.txt` lists of them, filtered by labels."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from isobench.errors import ModelError, UsageError
from isobench.planning.models import Model
from isobench.system import reading

INPUT_SUFFIXES = (".npz", ".npy", ".safetensors", ".pb", ".bin", ".json")
SUFFIXES = (".py", ".onnx", ".ort")
_MOST_LIST_BYTES = 16 << 20
_LONGEST_PATH = 4096
_SHOWN = 3
_MOST_DIGITS = 19  # of a number of 64 bits
_LABELS = r"#+\s*labels(?:(:)|\s|$)(.*)"


class LabelError(UsageError):
    """None of the models carries the labels that were given."""


def select(
    names: Sequence[str],
    *,
    labels: Sequence[str] = (),
    script_args: Sequence[str] = (),
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Sequence[str | Path] = (),
    fill: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path = Path(),
) -> list[Model]:
    """The models that `names` stand for, in order and without duplicates; of those, the ones that have all `labels`.

    Relative names start at `folder`, those of inputs, too.

    Raises:
        ModelError: a file doesn't exist, or isn't a model.
        UsageError: a label isn't `key::value`, or no model has it; a list names itself; a file of inputs doesn't exist;
            an environment variable can't be passed on.
    """
    given, named = given_files(inputs, folder)
    rules = named | dict(fill or {})
    if env:
        from isobench.planning import script_variables

        env = script_variables.checked(env)
    wanted = dict(_label(text) for text in labels)
    chosen: dict[tuple[Path, str], Model] = {}
    for path, chosen_hash in _expand(names, folder=folder):
        own = read_labels(path)
        if all(set(values) & set(own.get(key, ())) for key, values in wanted.items()):
            chosen.setdefault(
                (path.resolve(), chosen_hash),
                Model(
                    path=path,
                    hash=chosen_hash,
                    script_args=tuple(script_args) if path.suffix == ".py" else (),
                    labels=own,
                    dimensions=dict(dimensions or {}),
                    shapes=dict(shapes or {}),
                    inputs=given,
                    fill=rules,
                    env=env or {},
                ),
            )
    if not chosen:
        raise LabelError(
            f"no model has the label {' and '.join(labels)}",
            hint="Labels are on the first line of a script: # labels: name::bert task::nlp",
        )
    return distinguished(list(chosen.values()))


def one(name: str, **given: Any) -> Model:
    """The only model that a name stands for; `given` as for `select`.

    Raises:
        ModelError, UsageError: see `select`.
        UsageError: it stands for several.
    """
    found = select([name], **given)
    if len(found) > 1:
        listed = ", ".join(map(str, found[:_SHOWN])) + (", ..." if found[_SHOWN:] else "")
        raise UsageError(f"{_shown(Path(name))} must be one model here, got {len(found)}: {listed}", hint="Give one.")
    return found[0]


def distinguished(models: Sequence[Model]) -> list[Model]:
    """The models, with as many of their folders in the names of those that would have the same one as distinguish them.

    Several models of one script have the same name; their hashes distinguish them.
    """
    files: dict[str, set[Path]] = {}
    for model in models:
        files.setdefault(model.name, set()).add(model.path.absolute())
    alike = {name: paths for name, paths in files.items() if len(paths) > 1}
    return [
        replace(model, title=_distinct(model.path.absolute(), alike[model.name])) if model.name in alike else model
        for model in models
    ]


def _distinct(path: Path, others: Collection[Path]) -> str:
    """The end of a path that none of the others has, without its suffix unless that makes the difference."""
    for bare in (True, False):
        whole, *ends = [(one.with_suffix("") if bare else one).parts for one in (path, *others)]
        for count in range(1, len(whole) + 1):
            if sum(end[-count:] == whole[-count:] for end in ends) == 1:
                return "/".join(whole[-count:]).removeprefix("//")
    return str(path)


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """The labels on a script's first line (`# labels: name::bert task::nlp,text`); none for other files.

    TurnkeyML's notation, `#labels name::bert`, works as well.
    """
    if path.suffix != ".py":
        return {}
    try:
        with path.open("rb") as file:
            line = file.readline(4096).decode("utf-8", errors="replace").strip()
    except OSError as error:
        raise ModelError(f"{_shown(path)} can't be read: {error.strerror}") from None
    found = re.fullmatch(_LABELS, line)
    if found is None:
        return {}
    words = found[2].split()
    if not found[1] and not all("::" in word for word in words):
        return {}  # a comment that happens to start with this word
    return dict(_label(text) for text in words)


def dimensions(texts: Iterable[str]) -> dict[str, int]:
    """Dynamic dimensions: `batch=8` as a name and a size.

    Raises:
        UsageError: a text isn't of that form.
    """
    return {name: _size(text) for name, text in map(_pair, texts)}


def shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of inputs: `image=1,3,224,224` as a name and sizes, also in brackets; `scale=[]` has no dimensions.

    Raises:
        UsageError: a text isn't of that form.
    """
    return {name: _shape(text) for name, text in map(_pair, texts)}


def _shape(text: str) -> tuple[int, ...]:
    bare = text.strip()
    bracketed = bare.startswith("[") and bare.endswith("]")
    sizes = bare[1:-1] if bracketed else bare
    return () if bracketed and not sizes.strip() else tuple(_size(part) for part in sizes.split(","))


def given_files(texts: Iterable[str | Path], folder: Path = Path()) -> tuple[tuple[Path, ...], dict[str, str]]:
    """Files of inputs: paths and globs; and `NAME=FILE`, the file of one input, as a rule of `--fill`: `@FILE`.

    Relative paths start at `folder`.

    Raises:
        UsageError: a file doesn't exist.
    """
    paths: list[Path] = []
    named: dict[str, str] = {}
    for text in map(str, texts):
        name, separator, file = text.partition("=")
        if _is_file(folder / text):
            paths.append(folder / text)
        elif separator and name and reading.is_file(folder / file):
            named[name] = f"@{folder / file}" if folder.parts else f"@{file}"
        elif any(character in text for character in "*?["):
            paths += _matching(text, folder)
        else:
            raise UsageError(
                f"--inputs {_shown(Path(text))}: no such file", hint="Write it --inputs FILE, or --inputs NAME=FILE."
            )
    return tuple(paths), named


def fill_rules(texts: Iterable[str]) -> dict[str, str]:
    """Rules for the values of single inputs: `mask=ones` as a name and a rule.

    Raises:
        UsageError: a text isn't of that form.
    """
    rules = {}
    for text in texts:
        name, separator, file = text.partition("=@")
        rule = f"@{file}" if separator else ""
        if not separator:
            name, _, rule = text.rpartition("=")
        if not (name and rule):
            raise UsageError(f"--fill must be NAME=RULE, got {text!r}", hint="For example: --fill mask=ones")
        rules[name] = rule
    return rules


def _is_file(path: Path) -> bool:
    """Is there such a file or folder, or one of which `x.json[1]` chooses a set?"""
    return reading.exists(path) or (path.name.endswith("]") and reading.is_file(str(path).rpartition("[")[0]))


def _matching(pattern: str, folder: Path) -> list[Path]:
    found = _globbed(pattern, folder)
    if not found:
        raise UsageError(f"--inputs {_shown(Path(pattern))}: no file matches")
    return found


def _globbed(pattern: str, folder: Path) -> list[Path]:
    import glob

    if len(pattern) > _LONGEST_PATH:
        return []
    once = re.sub(r"(\*\*/)+", "**/", pattern)  # each further one would take as long again as all before it
    return [folder / name for name in sorted(glob.glob(once, root_dir=folder, recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute patterns


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.rpartition("=")
    if not (name and separator and value):
        raise UsageError(f"{text!r} is not NAME=VALUE", hint="For example: --dim batch=8 --shape image=1,3,224,224")
    return name, value


def _size(text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS and int(digits) < 2**63):
        raise UsageError(f"a size must be an integer of at least 0, got {text[:50]!r}")
    return int(digits)


def _label(text: str) -> tuple[str, tuple[str, ...]]:
    key, separator, values = text.partition("::")
    if not (key and separator and values):
        raise UsageError(f"a label must be KEY::VALUE or KEY::VALUE1,VALUE2, got {text!r}")
    return key, tuple(values.split(","))


def _expand(names: Iterable[str], *, folder: Path, lists: tuple[Path, ...] = ()) -> Iterator[tuple[Path, str]]:
    """The files that the names stand for, each with the hash that chooses one of its models.

    A name that is a file is that file, whatever characters it has. `lists` are the lists in which the names stand.
    """
    for name in names:
        text, chosen_hash = (name, "") if reading.exists(folder / name) else _split(name)
        path = folder / text
        if not reading.exists(path):
            if any(character in text for character in "*?["):
                yield from _glob(folder, text, chosen_hash)
                continue
            is_link = os.path.islink(path)  # noqa: PTH114 - pathlib's raises errors
            raise ModelError(f"{_shown(path)}: {'a link that leads nowhere' if is_link else 'no such file'}")
        if path.suffix == ".txt" and path.is_file():
            if path.resolve() in lists:
                raise UsageError(f"the list {path} names itself", hint="Remove its name from it.")
            yield from _expand(_lines(path), folder=path.parent, lists=(*lists, path.resolve()))
        elif path.suffix in SUFFIXES and path.is_file():
            yield path, chosen_hash
        else:
            raise _no_model(path)


def _split(name: str) -> tuple[str, str]:
    """A name and the hash after its last `::`, as in `model.py::0123abcd`; a path may have a `::` itself."""
    text, separator, chosen_hash = name.rpartition("::")
    return (text, chosen_hash) if separator and "/" not in chosen_hash and "." not in chosen_hash else (name, "")


def _shown(path: Path) -> str:
    text = str(path)
    return text if text.isprintable() and len(text) <= 300 else f"{text[:300]!r}"


def _no_model(path: Path) -> ModelError:
    from isobench.system.file_kinds import recognize

    hint = "A model is a Python script (model.py, model.py::hash), an .onnx file, or a .txt list of these."
    if path.suffix in INPUT_SUFFIXES:
        hint += " Values of inputs are given by --inputs: quote a glob, or repeat the option."
    try:
        kind = recognize(path) if path.is_file() else None
    except OSError as error:
        return ModelError(f"{path} can't be read: {error.strerror}")
    what = f": it is {kind.what}" if kind else _what(path)
    return ModelError(f"{_shown(path)} is not a model{what}", hint=f"{kind.hint} {hint}".strip() if kind else hint)


def _what(path: Path) -> str:
    """What it is, where it isn't a file."""
    kinds: dict[str, Callable[[], bool]] = {
        "a folder": path.is_dir,
        "a named pipe": path.is_fifo,
        "a socket": path.is_socket,
        "a device": path.is_char_device,
        "a disk": path.is_block_device,
    }
    return next((f": it is {what}" for what, question in kinds.items() if question()), "")


def _glob(folder: Path, pattern: str, chosen_hash: str) -> Iterator[tuple[Path, str]]:
    models = [path for path in _globbed(pattern, folder) if path.suffix in SUFFIXES and path.is_file()]
    if not models:
        raise ModelError(f"{_shown(folder / pattern)}: no .py, .onnx or .ort file matches")
    for path in models:
        yield path, chosen_hash


def _lines(path: Path) -> list[str]:
    """The models of a list: one a line, relative to the folder of the list; comments start with #."""
    try:
        text = reading.read_text(path, most_bytes=_MOST_LIST_BYTES)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ModelError(f"{path} isn't encoded in UTF-8: line {line}", hint="Save it as UTF-8.") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from None
    models = [line for line in map(_without_comment, text.splitlines()) if line]
    if not models:
        raise ModelError(f"{path} lists no models")
    return models


def _without_comment(line: str) -> str:
    """A line up to the # that begins it or follows a blank: a file's name may have one."""
    return re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
