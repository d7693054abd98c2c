"""Model, TensorSpec and Step: records that builds, results and plans contain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from isobench.record import record


@record(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as the user named it: a Python script (`script.py`, `script.py::hash`), or an `.onnx` or `.ort` file.

    `dimensions` and `shapes` fix the dynamic dimensions of an `.onnx` file; `script_args` are
    a script's `sys.argv[1:]`. `inputs` are files with the values of inputs, `fill` are rules for single ones. `title`
    distinguishes it from another model whose file has the same name.
    `custom_op_library` brings operators of an `.onnx` file that ONNX Runtime doesn't have. `env` are environment
    variables that its workers get.
    """

    path: Path
    hash: str = ""
    script_args: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dimensions: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    fill: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    custom_op_library: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_script(self) -> bool:
        return self.path.suffix == ".py"

    @property
    def is_ort_format(self) -> bool:
        """Whether it is an `.ort` file: ONNX Runtime's own format, which no other runtime reads."""
        return self.path.suffix == ".ort"

    @property
    def name(self) -> str:
        """The title, the label `name`, or the file's name without a suffix."""
        return self.title or (self.labels.get("name") or (self.path.stem,))[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """What a worker reads: the script and its folder; () for an `.onnx` file, which is copied into its build."""
        path, real = self.path.absolute(), self.path.resolve()
        return (path, real, path.parent, real.parent) if self.is_script else ()

    def __str__(self) -> str:
        return f"{self.path}::{self.hash}" if self.hash else str(self.path)


@record(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """Name, element type (numpy's or ml_dtypes' name) and shape of one input or output; None is a dynamic size.

    Of a value that isn't a tensor, `dtype` is its whole type, such as `sequence(float32)` or `map(int64, float32)`, and
    the shape empty. An `optional(...)` has its tensor's shape.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TensorSpec:
        """The tensor that a JSON object describes."""
        return cls(name=value["name"], dtype=value["dtype"], shape=tuple(value["shape"]))

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.dtype}[{sizes}]"


@record(frozen=True, slots=True, kw_only=True)
class InputValues:
    """Where the values of one input come from, in words (`rule`): "standard normal", "given: x.npz", "zeros".

    `low` and `high` are the smallest and the largest finite value; None where there is none (strings, complex numbers).
    `parameter` is the name in the `forward` of a script's model, "" for an `.onnx` file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    rule: str
    low: float | None = None
    high: float | None = None
    parameter: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> InputValues:
        """The input that a JSON object describes."""
        return cls(**{**value, "shape": tuple(value["shape"])})


@record(frozen=True, slots=True, kw_only=True)
class Step:
    """One tool that was applied to a Model, with its options; `alters`: it changes what the model computes."""

    tool: str
    options: Mapping[str, Any] = field(default_factory=dict)
    alters: bool = False

    def __str__(self) -> str:
        words = [self.tool]
        for name, value in self.options.items():
            if value is not None:
                values = value if isinstance(value, list | tuple) else [value]
                words += [f"--{name.replace('_', '-')}", *map(str, values)]
        return " ".join(words)
