"""Evaluates a module with weights and inputs that are perturbed in the last place (see `rounding`).

A perturbed parameter gets other memory for as long as an evaluation takes; its own isn't written to, so the module is
the same afterwards, bit by bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import competing
import protocol
import pytrees
import rounding

_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torchao.")


def evaluate(
    module: torch.nn.Module,
    args: Any,
    kwargs: Any,
    outputs: Callable[[Any, Any, int], list[protocol.Tensor]],
    folder: str,
    seed: int,
) -> dict[str, Any]:
    """Evaluate `module` again as it is, with another seed, and then perturbed; write the outputs into `folder`.

    `outputs(args, kwargs, seed)` computes the outputs from copies of the arguments.
    """
    repeat_file = os.path.join(folder, "repeat.msgpack")
    protocol.write_tensors(repeat_file, outputs(args, kwargs, seed + 1))
    arithmetic, quantised, competitors = _observed(module, lambda: outputs(args, kwargs, seed))
    competing_file = os.path.join(folder, "competing.msgpack")
    protocol.write_tensors(competing_file, competitors)
    alternative_file = os.path.join(folder, "alternative.msgpack")
    protocol.write_tensors(alternative_file, _without_fast_path(module, lambda: outputs(args, kwargs, seed)))
    found = _weights(module)
    chosen = rounding.chosen([(name, tensor.numel() * tensor.element_size()) for name, tensor in found.items()])
    moved = {name: tensor for name, tensor in found.items() if name in chosen}
    unit = "int8" if quantised else arithmetic

    def compute(perturb: rounding.Perturb) -> list[protocol.Tensor]:
        def changed(_: str, leaf: Any) -> Any:
            return _perturbed(leaf, perturb) if _is_plain(leaf) else leaf

        with _replaced(moved, perturb):
            return outputs(pytrees.mapped("args", args, changed), pytrees.mapped("kwargs", kwargs, changed), seed)

    evaluations = rounding.evaluate(compute, folder, seed, unit)
    return {
        "arithmetic": unit,
        "repeat": repeat_file,
        "competing": competing_file,
        "alternative": alternative_file,
        "evaluations": evaluations,
    }


def _without_fast_path(module: torch.nn.Module, compute: Callable[[], list[protocol.Tensor]]) -> list[protocol.Tensor]:
    """The outputs without PyTorch's fast path of transformers; none if the module has no transformer.

    In eval(), that path zeroes what is padded; no exporter knows it (pytorch#86120).
    """
    if not any(
        isinstance(part, torch.nn.TransformerEncoder | torch.nn.TransformerEncoderLayer) for part in module.modules()
    ):
        return []
    own = torch.backends.mha.get_fastpath_enabled
    torch.backends.mha.get_fastpath_enabled = lambda: False
    try:
        return compute()
    finally:
        torch.backends.mha.get_fastpath_enabled = own


def _weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The floating-point parameters and buffers that can be perturbed, each once, however many names it has."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor for name, tensor in named if _is_plain(tensor)}


def _is_plain(tensor: Any) -> bool:
    """Is it an ordinary tensor of real numbers in host memory?"""
    return (
        type(tensor) in {torch.Tensor, torch.nn.Parameter, torch.nn.Buffer}
        and pytrees.dtype_name(tensor) in rounding.MANTISSA_BITS
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.numel() >= rounding.LEAST_ELEMENTS
    )


def _perturbed(tensor: torch.Tensor, perturb: rounding.Perturb) -> torch.Tensor:
    """A perturbed copy in the same memory layout."""
    given = pytrees.to_file("", tensor)
    changed = pytrees.from_file(given._replace(data=perturb(given.data, given.dtype)))
    return torch.empty_like(tensor, requires_grad=False).copy_(changed)


@contextmanager
def _replaced(weights: dict[str, torch.Tensor], perturb: rounding.Perturb) -> Iterator[None]:
    """Within this context, the weights have perturbed values, in other memory."""
    own = []
    try:
        with torch.no_grad():
            for tensor in weights.values():
                own_data = tensor.data
                # A tensor made in inference mode takes no other memory, and stays as it is.
                with suppress(RuntimeError, TypeError):
                    tensor.data = _perturbed(own_data, perturb)
                    own.append((tensor, own_data))
        yield
    finally:
        for tensor, own_data in own:
            tensor.data = own_data


class _Observer(TorchDispatchMode):  # type: ignore[misc] # torch isn't installed where types are checked
    """Records the types that are computed with, and choices: indices with the values and the axis they choose from."""

    _CHOOSING: ClassVar[dict[str, int]] = {
        **dict.fromkeys(("aten::argmax", "aten::argmin", "aten::argsort"), 0),
        **dict.fromkeys(("aten::max", "aten::min", "aten::sort", "aten::topk"), 1),
    }
    """The operators that return indices, and which of their results these are."""

    def __init__(self) -> None:
        super().__init__()
        self.computed: set[str] = set()
        self.quantised = False
        self.choices: list[tuple[torch.Tensor, torch.Tensor, int | None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        value = func(*args, **(kwargs or {}))
        found = value if isinstance(value, tuple | list) else [value]
        self.computed |= {
            pytrees.dtype_name(one) for one in found if isinstance(one, torch.Tensor) and one.is_floating_point()
        }
        self._note_choice(func._schema, found, args, kwargs or {})
        name = str(func)
        self.quantised = self.quantised or "quantize" in name or name.startswith(("quantized.", "onednn.q"))
        return value

    def _note_choice(self, schema: Any, found: Any, args: Any, kwargs: Any) -> None:
        place = self._CHOOSING.get(schema.name)
        if place is None or len(found) <= place or not args or found[place].dtype != torch.int64:
            return
        names = [argument.name for argument in schema.arguments]
        default = {argument.name: argument.default_value for argument in schema.arguments}
        axis = {**default, **dict(zip(names, args, strict=False)), **kwargs}.get("dim")
        self.choices.append((found[place], args[0], axis))

    def competing(self, outputs: list[protocol.Tensor]) -> list[protocol.Tensor]:
        """The values that compete for those of the outputs that are indices."""
        made = []
        for output in outputs:
            if not output.dtype.startswith("int") or not output.data:
                continue
            indices = pytrees.from_file(output).reshape(-1).to(torch.int64)
            for chosen, values, axis in self.choices:
                if chosen.numel() == indices.numel() and torch.equal(chosen.reshape(-1), indices):
                    flat = values.reshape(-1) if axis is None else values
                    made.append(competing.arranged(output.name, pytrees.to_file("", flat), axis or 0))
                    break
        return made if sum(len(tensor.data) for tensor in made) <= competing.LARGEST_BYTES else []


def _observed(
    module: torch.nn.Module, compute: Callable[[], list[protocol.Tensor]]
) -> tuple[str, bool, list[protocol.Tensor]]:
    """The narrowest type that the module computes with, whether it computes with quantised values, and `competing`."""
    quantised = any(type(part).__module__.startswith(_QUANTISED) for part in module.modules())
    observer = _Observer()
    found: list[protocol.Tensor] = []
    with suppress(Exception):  # what can't be observed is taken by the types of the weights
        with observer:
            outputs = compute()
        found = observer.competing(outputs)
    computed = observer.computed or {pytrees.dtype_name(tensor) for tensor in module.parameters()}
    return rounding.narrowest(computed), quantised or observer.quantised, found
