"""The inputs that a model would be measured with, and files of them that can be edited and given again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isobench.builds import element_types, input_files
from isobench.builds.build import Build
from isobench.errors import UsageError
from isobench.planning.models import InputValues, Model
from isobench.record import record
from isobench.workers import protocol
from isobench.workers.protocol import Tensor


@record(frozen=True, slots=True, kw_only=True)
class ModelInputs:
    """The inputs of one model: each tensor, and where its values come from. `hash` is "" for an `.onnx` file."""

    name: str
    hash: str
    tensors: tuple[Tensor, ...]
    values: tuple[InputValues, ...]

    def save(self, path: Path) -> None:
        """Write the tensors to a `.npz` or `.safetensors` file, which `--inputs` takes.

        numpy stores the types that it lacks as unnamed bytes (`|V2` for bfloat16); `--inputs` reads them by the type of
        the model's input.

        Raises:
            UsageError: the file's name has another suffix, its format lacks a type, or it can't be written.
        """
        if path.suffix not in WRITERS:
            raise UsageError(f"inputs can't be saved as {path.name}", hint=f"Use {' or '.join(WRITERS)}.")
        try:
            protocol.write_bytes(path, WRITERS[path.suffix](self.tensors))
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror}") from None


def of_onnx(model: Model, seed: int) -> ModelInputs:
    """The inputs of an `.onnx` file: given ones, and drawn ones where none are given.

    Raises:
        ModelError: it can't be read.
        UsageError: the sizes of its inputs aren't fixed, or values that were given don't fit.
    """
    from isobench.builds import onnx_file, onnx_inputs

    if model.is_ort_format:
        raise UsageError(
            f"the inputs of {model.path.name} can't be listed: only ONNX Runtime reads an .ort file",
            hint="isobench run -r ort --inputs FILE takes inputs for it, too.",
        )
    prepared = onnx_inputs.prepare(model, onnx_file.read(model.path), seed)
    return ModelInputs(name=model.name, hash="", tensors=prepared.tensors, values=prepared.values)


def of_build(build: Build) -> ModelInputs:
    """The inputs of a script's model."""
    tensors = protocol.read_tensors(build.inputs_file)
    return ModelInputs(name=build.name, hash=build.hash, tensors=tuple(tensors), values=build.input_values)


def _npz(tensors: Sequence[Tensor]) -> bytes:
    """Not by numpy.savez, whose own parameter `file` can't be the name of an array."""
    import io
    import zipfile

    import numpy as np

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for tensor in tensors:
            array: Any = element_types.to_array(tensor)
            content = io.BytesIO()
            if tensor.dtype == element_types.STRING:
                array = array.astype(str)
            elif tensor.dtype in element_types.BITS:
                array = array.view(f"V{array.itemsize}")  # numpy can't read float8_e5m2 by ml_dtypes' own name of it
            np.lib.format.write_array(content, array, allow_pickle=False)
            made.writestr(f"{tensor.name}.npy", content.getvalue())
    return archive.getvalue()


def _safetensors(tensors: Sequence[Tensor]) -> bytes:
    import json

    names = {dtype: name for name, dtype in input_files.SAFETENSORS.items()}
    header, end = {}, 0
    for tensor in tensors:
        if tensor.dtype not in names:
            raise UsageError(f"a .safetensors file can't hold {tensor.name}: {tensor.dtype}", hint="Use .npz.")
        begin, end = end, end + len(tensor.data)
        header[tensor.name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + b"".join(tensor.data for tensor in tensors)


WRITERS: dict[str, Callable[[Sequence[Tensor]], bytes]] = {".npz": _npz, ".safetensors": _safetensors}
"""What makes a file's content, by its suffix."""
