"""How an observed model is called again: as the script called it, each time from the same state.

`decided` tries the model where the build is made; its `Calling` reaches the torch workers with the request.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

import describe
import protocol
import pytrees
import sameness
import script_errors
from harness import Refused
from module_state import State
from observed import Observed
from protocol import Ending

_UNREAD = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)
_BATCH_NORMS = torch.nn.modules.batchnorm._BatchNorm


class Calling(NamedTuple):
    """How a model is called.

    `grad_mode` is "inference_mode" unless the model computes something else in it, or needs the mode of the script's
    call. `renewed` names the inputs (`args.0`), attributes and buffers that a call changes. `evaluating`: the script
    never chose a mode, and training mode would matter, so the model is measured in eval().
    """

    grad_mode: str = "inference_mode"
    renewed: tuple[str, ...] = ()
    evaluating: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calling:
        return cls(value["grad_mode"], tuple(value["renewed"]), value["evaluating"])


class Subject:
    """A model, set to the state that it had at the script's call, and everything for calling it again and again.

    `decided`: its `Calling` is complete.
    """

    def __init__(self, model: Observed, calling: Calling, *, decided: bool = True) -> None:
        self.model = model
        self.calling = calling
        self.module = model.module
        self.reset()
        self._renew = model.state.renewal(calling.renewed) if decided else self.reset

    def reset(self) -> None:
        """Set the module to the state of the script's call."""
        self.model.state.restore()
        if self.calling.evaluating:
            self.module.eval()

    @contextmanager
    def entered(self, *, device: str = "") -> Iterator[None]:
        """Inside, autocast, grad mode and other global state are those of the call."""
        with self.model.surroundings.entered(self.calling.grad_mode, device=device):
            yield

    def returned(self, args: Any, kwargs: Any, seed: int) -> Any:
        """What a call from the same state returns; `args` and `kwargs` are used up, and the state is changed.

        Once it is decided how the model is called, only what a call changes is set back: weights may be perturbed.
        """
        self._renew()
        torch.manual_seed(seed)
        try:
            with self.entered():
                return self.module(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the user sees whatever the model raises
            raise script_errors.call_failed(self.model.name, error) from None

    @contextmanager
    def exporting(self) -> Iterator[tuple[torch.nn.Module, Any, Any]]:
        """Inside, the module is as the script called it, for an exporter; gives it with copies of the arguments."""
        self._renew()
        grad_mode = "grad" if self.calling.grad_mode == "grad" else "no_grad"
        with self.model.surroundings.entered(grad_mode):
            yield self.module, *pytrees.copied_call(self.model.args, self.model.kwargs)

    def outputs(self, args: Any, kwargs: Any, seed: int) -> list[protocol.Tensor]:
        """The outputs, computed from copies of the inputs and from the state of the script's call.

        Raises:
            Refused: an output has a type that isobench can't store.
        """
        value = self.returned(*pytrees.copied_call(args, kwargs), seed)
        if isinstance(value, _UNREAD):
            raise Refused(
                Ending.MODEL_ERROR,
                f"{self.model.name} returns a {type(value).__name__}, which computes nothing until it is read",
                "Return what the model computes from its forward method, or measure a part of it: --max-depth 1",
            )
        return [pytrees.to_file(name, tensor) for name, tensor in pytrees.outputs(value)]

    def not_exportable(self) -> str:
        """Why no ONNX model can have these inputs and outputs; "" if one can."""
        model = self.model
        for name, tensor in pytrees.tensor_leaves_of_call(model.args, model.kwargs):
            if tensor.is_complex() or not pytrees.is_storable(tensor):
                return f"its input {name} is {describe.type_of(tensor)}, a kind of tensor that ONNX models don't take"
        if self.module.training and any(
            isinstance(part, _BATCH_NORMS) and part.training for part in self.module.modules()
        ):
            return (
                "the script calls it in training mode, where batch norm uses the statistics of the batch, which ONNX "
                "models for inference don't; call model.eval() before"
            )
        value = self.returned(*pytrees.copied_call(model.args, model.kwargs), 0)
        if not pytrees.tensor_leaves("output", value):
            kinds = dict.fromkeys(type(leaf).__name__ for _, leaf in pytrees.leaves("output", value))
            return f"it returns no tensors, but a {' and a '.join(kinds)}"
        return ""

    def renewal(self, args: Any, kwargs: Any) -> Callable[[], tuple[Any, Any]] | None:
        """A function that returns fresh arguments and sets back what a call changes; None if a call changes nothing."""
        if not self.calling.renewed:
            return None
        of_inputs = any(name.startswith(("args.", "kwargs.")) for name in self.calling.renewed)
        original = pytrees.copied_call(args, kwargs)

        def renew() -> tuple[Any, Any]:
            self._renew()
            return pytrees.copied_call(*original) if of_inputs else original

        return renew


def decided(model: Observed, seed: int) -> tuple[Subject, list[str]]:
    """Try how the model must be called, and say in notes what users may not expect."""
    _require_repeatable(model)
    subject = Subject(model, Calling(grad_mode=model.surroundings.grad_mode), decided=False)
    notes = list(model.notes)
    if model.training:
        matters = _is_random(subject, seed) or _changes(subject, seed) or not _same_in_eval(subject, seed)
        if matters and not model.mode_chosen and _runs_in_eval(subject, seed):
            subject = Subject(model, subject.calling._replace(evaluating=True), decided=False)
            notes.append("the script never calls eval(), so the model is measured in eval()")
        elif matters:
            notes.append("the script calls it in training mode, so it is measured in training mode")
    renewed = tuple(_changes(subject, seed))
    grad_mode = "inference_mode" if _same_in(subject, "inference_mode", seed) else subject.calling.grad_mode
    if renewed:
        shown = ", ".join(renewed[:4]) + (f" and {len(renewed) - 4} more" if len(renewed) > 4 else "")
        notes.append(f"a call changes {shown}: renewed before each inference, outside of the timed part")
    return Subject(model, subject.calling._replace(grad_mode=grad_mode, renewed=renewed)), notes


def _require_repeatable(model: Observed) -> None:
    """Raises:
    Refused: an input can be read only once.
    """
    for name, leaf in [*pytrees.leaves("args", model.args), *pytrees.leaves("kwargs", model.kwargs)]:
        if isinstance(leaf, Iterator):
            raise Refused(
                Ending.MODEL_ERROR,
                f"the input {name} of {model.name} is a {type(leaf).__name__}, which one call uses up",
                "Give the model a list, or a tensor.",
            )


def _changes(subject: Subject, seed: int) -> list[str]:
    """The inputs, attributes and buffers that a call changes each time; what only the first call sets isn't among them.

    Caches that a first call fills (tables of positions, masks) stay filled, as they would in use.
    """
    model = subject.model
    subject.returned(*pytrees.copied_call(model.args, model.kwargs), seed)
    settled = State(subject.module)
    args, kwargs = pytrees.copied_call(model.args, model.kwargs)
    torch.manual_seed(seed + 1)
    try:
        with subject.entered():
            subject.module(*args, **kwargs)
    except Exception:  # noqa: BLE001 - after its first call the model can't be called again, as with a cache that is full
        settled = model.state
    changed = [
        *sameness.differences("args", tuple(model.args), args),
        *sameness.differences("kwargs", dict(model.kwargs), kwargs),
        *settled.changes(),
    ]
    subject.reset()
    return changed


def _is_random(subject: Subject, seed: int) -> bool:
    model = subject.model
    return subject.outputs(model.args, model.kwargs, seed) != subject.outputs(model.args, model.kwargs, seed + 1)


def _same_in_eval(subject: Subject, seed: int) -> bool:
    other = Subject(subject.model, subject.calling._replace(evaluating=True), decided=False)
    same = _same_outputs(subject, other, seed)
    subject.reset()
    return same


def _runs_in_eval(subject: Subject, seed: int) -> bool:
    other = Subject(subject.model, subject.calling._replace(evaluating=True), decided=False)
    same = _same_outputs(other, other, seed)
    subject.reset()
    return same


def _same_in(subject: Subject, grad_mode: str, seed: int) -> bool:
    """Does the model compute the same, bit for bit, in another grad mode?"""
    if subject.calling.grad_mode == grad_mode:
        return True
    other = Subject(subject.model, subject.calling._replace(grad_mode=grad_mode), decided=False)
    same = _same_outputs(subject, other, seed)
    subject.reset()
    return same


def _same_outputs(one: Subject, other: Subject, seed: int) -> bool:
    model = one.model
    expected = one.outputs(model.args, model.kwargs, seed)
    try:
        return other.outputs(model.args, model.kwargs, seed) == expected
    except Exception:  # noqa: BLE001 - the model's own code, in a mode in which the script never called it
        return False
