"""The hostile files, as the modules beside this one declare them: HOSTILE has each by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from onnx import ModelProto
from onnx_forms import written

from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A hostile file. `make` writes it into a folder of its own and returns its path.

    `endings` are those that its Case may have; `says` must be part of the message.
    """

    name: str
    make: Callable[[Path], Path]
    endings: tuple[str, ...]
    says: str


HOSTILE: dict[str, Hostile] = {}

MODEL_ERROR = "model-error"
USAGE = "usage"
MEMORY = "out-of-memory"
OPERATOR = "unsupported-operator"
MEASURED = "ok"
REFUSED = "refused"
"""Before any work, and with it the whole call: it isn't the name of a file that may be a model."""


def hostile(*endings: str, says: str = "") -> Callable[[Callable[[], ModelProto | bytes]], None]:
    """Declares a model by the function that makes it."""

    def declare(make: Callable[[], ModelProto | bytes]) -> None:
        add(make.__name__, lambda folder: written(folder, make()), endings, says)

    return declare


def hostile_file(*endings: str, says: str = "") -> Callable[[Callable[[Path], Path]], None]:
    """Declares a file by the function that makes it in a folder."""

    def declare(make: Callable[[Path], Path]) -> None:
        add(make.__name__, make, endings, says)

    return declare


def add(name: str, make: Callable[[Path], Path], endings: tuple[str, ...], says: str) -> None:
    assert name not in HOSTILE
    HOSTILE[name] = Hostile(name=name, make=make, endings=endings, says=says)
