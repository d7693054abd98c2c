"""One model of a script, as one call found it: arguments, state and surroundings. Names that tell models apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

import attributes
import describe
import pytrees
from module_state import State
from surroundings import Surroundings

_NO_MODELS = ("torch.nn.modules.loss", "torch.nn.utils.", "torch.ao.quantization.", "torch.ao.pruning.")
_OBSERVERS = ("torch.ao.quantization.observer", "torch.ao.quantization.fake_quantize")


class Observed:
    """One model that the script called, with the arguments of one call, before that call."""

    def __init__(self, module: torch.nn.Module, args: Any, kwargs: Any, *, depth: int, parent: Observed | None) -> None:
        self.module = module
        self.args, self.kwargs = pytrees.copied_call(args, kwargs)
        self.depth = depth
        self.parent = parent
        self.surroundings = Surroundings.now()
        self.training = module.training
        self.mode_chosen = True
        self.part_of = ""
        self.invocations = 0
        self.instances = 1
        self.number = 0
        self.where = ""
        self.name = type(module).__name__
        self.notes: list[str] = []
        self.hash = self.structure = ""
        self._state: State | None = None
        self._facts: dict[str, str] = {}
        self._parameters = self._parameter_bytes = 0
        if not any(map(torch.nn.parameter.is_lazy, module.parameters())):
            self.take_state()

    def take_state(self) -> None:
        """Remember the module as it is now; for modules that get their parameters in the first call, after it."""
        if self._state is None:
            self._state = State(self.module)
            parameters = [one for one in self.module.parameters() if not torch.nn.parameter.is_lazy(one)]
            self._parameters = sum(one.numel() for one in parameters)
            self._parameter_bytes = sum(one.numel() * one.element_size() for one in parameters)
            context = self.surroundings.text()
            self.hash = describe.hash_of(self.module, self.args, self.kwargs, context)
            self.structure = describe.hash_of(self.module, self.args, self.kwargs, context, plain=False)
            self._facts = describe.facts_of_call(self.args, self.kwargs) | {"context": self.surroundings.text()}
            for name, part in self.module.named_modules():
                self._facts |= {f"{name}.{key}".lstrip("."): text for key, text in attributes.of(part).items()}

    @property
    def state(self) -> State:
        """The module's state at the call."""
        assert self._state is not None
        return self._state

    @property
    def is_case(self) -> bool:
        """Is it a model, and not a loss, an activation or a part that the script called directly?"""
        kind = type(self.module).__module__
        if self.depth or self.part_of or _calibrates(self.module):
            return False
        return not kind.startswith(("torch.nn.", "torch.ao.")) or _has_state(self.module)

    @contextmanager
    def as_called(self, grad_mode: str = "") -> Iterator[None]:
        """Inside, the global state is that of the call, with another grad mode if one is given."""
        with self.surroundings.entered(grad_mode):
            yield

    def entry(self) -> dict[str, Any]:
        """Its entry in `isobench discover`, as JSON."""
        kind = type(self.module)
        context = self.surroundings.text()
        return {
            "name": self.name,
            "class": f"{kind.__module__}.{kind.__qualname__}".removeprefix("__main__."),
            "hash": self.hash,
            "is_case": self.is_case,
            "depth": self.depth,
            "parent": self.parent.hash if self.parent else None,
            "parameters": self._parameters,
            "parameter_bytes": self._parameter_bytes,
            "invocations": self.invocations,
            "instances": self.instances,
            "inputs": [
                describe.spec(name, tensor)
                for name, tensor in pytrees.tensor_leaves_of_call(self.args, self.kwargs)
                if pytrees.is_storable(tensor)
            ],
            "signature": describe.signature(self.args, self.kwargs) + (f" in {context}" if context else ""),
            "instantiated_at": self.where,
        }

    def facts(self) -> dict[str, str]:
        """What can tell it from another model of its class: shapes, types and numbers of the call, plain attributes."""
        return self._facts


def is_internal(module: torch.nn.Module) -> bool:
    """Does PyTorch itself call it while it observes, quantises, prunes or reparametrizes a model?"""
    kind = type(module)
    if kind.__module__ == "torch.nn.utils.parametrize" and kind.__name__.startswith("Parametrized"):
        kind = kind.__mro__[1]  # a parametrized layer or model has a class of its own, made of the user's
    return kind.__module__.startswith(_NO_MODELS[1:])


def name_apart(models: Sequence[Observed]) -> None:
    """Give models of one class names that say what differs: `Net[1x12]` and `Net[64x12]`.

    Where nothing short does, and for parts of models: `Net` and `Net#2`.
    """
    by_name: dict[str, list[Observed]] = {}
    for model in models:
        by_name.setdefault(model.name, []).append(model)
    for name, group in by_name.items():
        several = len(group) > 1 and not any(model.depth for model in group)
        texts = _distinctions(group) if several else ["" for _ in group]
        seen: dict[str, int] = {}
        for model, text in zip(group, texts, strict=True):
            full = f"{name}[{text}]" if text else name
            seen[full] = seen.get(full, 0) + 1
            model.name = full if seen[full] == 1 else f"{full}#{seen[full]}"


def _distinctions(group: Sequence[Observed]) -> list[str]:
    """For each model, up to two facts that tell it from the others; "" where none is short."""
    names = dict.fromkeys(name for model in group for name in model.facts())
    differing = [name for name in names if len({model.facts().get(name) for model in group}) > 1]
    texts = ["" for _ in group]
    for name in differing:
        values = [_short(name, model.facts().get(name, "none"), group) for model in group]
        more = [f"{text} {value}".strip() for text, value in zip(texts, values, strict=True)]
        if len(set(more)) > len(set(texts)) and max(map(len, more)) <= 40:
            texts = more
        if len(set(texts)) == len(group):
            break
    return texts


def _short(name: str, text: str, group: Sequence[Observed]) -> str:
    """A fact in a name: `1x12`, `float16 1x12`, `scale=2.0`, `activation=relu`."""
    kind, bracket, shape = text.partition("[")
    if bracket and shape.endswith("]") and " " not in kind:
        kinds = {model.facts().get(name, "").partition("[")[0] for model in group}
        size = shape[:-1].replace(", ", "x") or "scalar"
        return size if len(kinds) == 1 else f"{kind} {size}"
    if name == "context":
        return text
    key = name.rpartition(".")[2] if not name.startswith("args.") else name
    return f"{key}={text.rpartition('.')[2] if '(' not in text and not text[:1].isdigit() else text}"


def _calibrates(module: torch.nn.Module) -> bool:
    """Does it contain observers, which only watch the model to be quantised?"""
    return any(type(part).__module__.startswith(_OBSERVERS) for part in module.modules())


def _has_state(module: torch.nn.Module) -> bool:
    """Has it parameters, buffers or packed weights, and is it no loss?"""
    if type(module).__module__ == _NO_MODELS[0]:
        return False
    return any(True for _ in module.parameters()) or any(True for _ in module.state_dict())
