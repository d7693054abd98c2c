"""The inputs of an ONNX file as it is measured: their sizes, and their values: given, filled by a rule, or drawn."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from isobench.builds import drawing, element_types, given_inputs, input_memory, sizes
from isobench.errors import UsageError
from isobench.planning.models import InputValues, Model, TensorSpec
from isobench.record import record
from isobench.workers import protocol

if TYPE_CHECKING:
    from isobench.builds.onnx_file import OnnxFile

ELEMENTS = 2
"""Elements of a sequence where none are given."""


@record(frozen=True, slots=True, kw_only=True)
class OnnxInputs:
    """The inputs of one inference. `specs` are those of the graph, whose sizes are fixed.

    An input that isn't a tensor (a sequence, a map, an optional) has several `tensors`, or none: see
    `workers/protocol.py`. `expected` are outputs that were given with the inputs, and `reference` where they come from.
    `drawn` are the tensors that were drawn, with what they are used as. `notes` say which sizes were assumed.
    """

    specs: tuple[TensorSpec, ...]
    tensors: tuple[protocol.Tensor, ...]
    values: tuple[InputValues, ...]
    expected: tuple[protocol.Tensor, ...] | None
    reference: str
    drawn: tuple[drawing.Drawn, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tensor_specs(self) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=one.name, dtype=one.dtype, shape=one.shape) for one in self.tensors)


def prepare(model: Model, found: OnnxFile, seed: int) -> OnnxInputs:
    """Settle the sizes of the inputs, and their values.

    Raises:
        UsageError: a size isn't fixed, or values that were given don't fit.
        ModelError: no values are valid, or they don't fit into memory.
    """
    given = given_inputs.of_onnx(model, found)
    shapes = {**model.shapes, **given.shapes}
    of_one = sizes.batches_of_one(found, shapes)
    specs = sizes.settle(found, model.dimensions, {**of_one, **shapes})
    to_make = [spec for spec in specs if spec.name not in given.tensors]
    input_memory.check(to_make)
    given = given_inputs.filled(model, specs, given, seed)
    tensors: list[protocol.Tensor] = []
    values: list[InputValues] = []
    parts = {part.name: part for whole in given.tensors.values() for part in whole}
    wanted = _to_draw(found, specs, given)
    input_memory.check([spec for spec in wanted if spec.name not in parts])
    drawn = {one.tensor.name: one for one in drawing.draw(found.model, wanted, seed, parts)}
    for spec in specs:
        chosen = given.tensors.get(spec.name)
        rule = given.rules.get(spec.name, "")
        if chosen is None:
            chosen = tuple(one.tensor for name, one in drawn.items() if _is_part(name, spec.name))
        tensors += chosen
        values += [element_types.values(one, rule or drawn[one.name].rule) for one in chosen]
    return OnnxInputs(
        specs=tuple(specs),
        tensors=tuple(tensors),
        values=tuple(values),
        expected=given.expected,
        reference=given.reference,
        drawn=tuple(drawn.values()),
        notes=tuple(_batch_note(name, shape) for name, shape in of_one.items()),
    )


def _batch_note(name: str, shape: tuple[int, ...]) -> str:
    example = shlex.quote(f"{name}={','.join(map(str, (8, *shape[1:])))}")
    return f"{name} doesn't fix its batch size: 1 was used; to change it: --shape {example}"


def _is_part(tensor: str, name: str) -> bool:
    return tensor == name or (tensor.startswith(f"{name}.") and tensor.removeprefix(f"{name}.").isdigit())


def _to_draw(found: OnnxFile, specs: list[TensorSpec], given: given_inputs.Given) -> list[TensorSpec]:
    """The tensors to draw: those of inputs that aren't tensors have names of their own, `x.0`, `x.1`.

    An optional that isn't given has none. Given tensors are among them: the others may depend on them.
    """
    wanted: list[TensorSpec] = []
    for spec in specs:
        kind, _, inner = spec.dtype.partition("(")
        if not inner:
            wanted.append(spec)
        elif spec.name in given.tensors or kind == "optional":
            continue
        elif kind == "sequence" and "(" not in inner:
            shape = _element_shape(found, spec.name)
            element = TensorSpec(name=spec.name, dtype=inner.removesuffix(")"), shape=shape)
            wanted += [replace(element, name=f"{spec.name}.{place}") for place in range(ELEMENTS)]
        else:
            raise UsageError(
                f"the input {spec.name} is a {spec.dtype}, which isobench can't draw",
                hint=f"Give it: --inputs FILE.npz with {spec.name}.keys and {spec.name}.values."
                if kind == "map"
                else f"Give it: --inputs FILE.npz with {spec.name}.0, {spec.name}.1, ...",
            )
    return wanted


def _element_shape(found: OnnxFile, name: str) -> tuple[int, ...]:
    """The shape of a sequence's elements; sizes that the file leaves open are 2."""
    value = next(value for value in found.model.graph.input if value.name == name)
    dims = value.type.sequence_type.elem_type.tensor_type.shape.dim
    return tuple(one.dim_value if one.HasField("dim_value") else 2 for one in dims)
