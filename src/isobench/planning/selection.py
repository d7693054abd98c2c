"""Names that the user typed -> Models: scripts, `.onnx` files, globs, and `.txt` lists of them, filtered by labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from isobench.errors import ModelError, UsageError
from isobench.planning.models import Model

SUFFIXES = (".py", ".onnx")
_LABELS = r"#+\s*labels(?:(:)|\s|$)(.*)"


def select(
    names: Sequence[str],
    *,
    labels: Sequence[str] = (),
    script_args: Sequence[str] = (),
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Sequence[str] = (),
    fill: Mapping[str, str] | None = None,
) -> list[Model]:
    """The models that `names` stand for, in order and without duplicates; of those, the ones that have all `labels`.

    Raises:
        ModelError: a file doesn't exist, or isn't a model.
        UsageError: a label isn't `key::value`, or no model has it, or a file of inputs doesn't exist.
    """
    given, named = given_files(inputs)
    rules = named | dict(fill or {})
    wanted = dict(_label(text) for text in labels)
    chosen: dict[tuple[Path, str], Model] = {}
    for path, chosen_hash in _expand(names, folder=Path()):
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
                ),
            )
    if not chosen:
        raise UsageError(
            f"no model has the label {' and '.join(labels)}",
            hint="Labels are on the first line of a script: # labels: name::bert task::nlp",
        )
    return list(chosen.values())


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """The labels on a script's first line (`# labels: name::bert task::nlp,text`); none for other files.

    TurnkeyML's notation, `#labels name::bert`, works as well.
    """
    if path.suffix != ".py":
        return {}
    with path.open("rb") as file:
        line = file.readline(4096).decode("utf-8", errors="replace").strip()
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
    """Shapes of inputs: `image=1,3,224,224` as a name and sizes.

    Raises:
        UsageError: a text isn't of that form.
    """
    return {name: tuple(_size(part) for part in text.split(",")) for name, text in map(_pair, texts)}


def given_files(texts: Iterable[str]) -> tuple[tuple[Path, ...], dict[str, str]]:
    """Files of inputs: paths and globs; and `NAME=FILE`, the file of one input, as a rule of `--fill`: `@FILE`.

    Raises:
        UsageError: a file doesn't exist.
    """
    paths: list[Path] = []
    named: dict[str, str] = {}
    for text in map(str, texts):
        name, separator, file = text.partition("=")
        if Path(text).exists():
            paths.append(Path(text))
        elif separator and name and Path(file).is_file():
            named[name] = f"@{file}"
        elif any(character in text for character in "*?["):
            paths += _matching(text)
        else:
            raise UsageError(f"--inputs {text}: no such file", hint="Write it --inputs FILE, or --inputs NAME=FILE.")
    return tuple(paths), named


def fill_rules(texts: Iterable[str]) -> dict[str, str]:
    """Rules for the values of single inputs: `mask=ones` as a name and a rule.

    Raises:
        UsageError: a text isn't of that form.
    """
    return dict(map(_pair, texts))


def _matching(pattern: str) -> list[Path]:
    import glob

    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not found:
        raise UsageError(f"--inputs {pattern}: no file matches")
    return [Path(name) for name in found]


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.rpartition("=")
    if not (name and separator and value):
        raise UsageError(f"{text!r} is not NAME=VALUE", hint="For example: --dim batch=8 --shape image=1,3,224,224")
    return name, value


def _size(text: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise UsageError(f"a size must be an integer above 0, got {text!r}")
    return int(text)


def _label(text: str) -> tuple[str, tuple[str, ...]]:
    key, separator, values = text.partition("::")
    if not (key and separator and values):
        raise UsageError(f"a label must be KEY::VALUE or KEY::VALUE1,VALUE2, got {text!r}")
    return key, tuple(values.split(","))


def _expand(names: Iterable[str], *, folder: Path) -> Iterator[tuple[Path, str]]:
    for name in names:
        text, _, chosen_hash = name.partition("::")
        if any(character in text for character in "*?["):
            yield from _glob(folder / text, chosen_hash)
            continue
        path = folder / text
        if not path.exists():
            raise ModelError(f"{path}: no such file")
        if path.suffix == ".txt":
            yield from _expand(_lines(path), folder=path.parent)
        elif path.suffix in SUFFIXES and path.is_file():
            yield path, chosen_hash
        else:
            raise ModelError(
                f"{path} is not a model",
                hint="A model is a Python script (model.py, model.py::hash), an .onnx file, or a .txt list of these.",
            )


def _glob(pattern: Path, chosen_hash: str) -> Iterator[tuple[Path, str]]:
    import glob

    found = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    models = [Path(name) for name in found if Path(name).suffix in SUFFIXES]
    if not models:
        raise ModelError(f"{pattern}: no .py or .onnx file matches")
    for path in models:
        yield path, chosen_hash


def _lines(path: Path) -> list[str]:
    """The models of a list: one a line, relative to the folder of the list; comments start with #."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    models = [line for line in lines if line]
    if not models:
        raise ModelError(f"{path} lists no models")
    return models
