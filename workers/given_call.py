"""The call of a script's model with values of the user's own, and the names by which they may give them."""

from __future__ import annotations

import inspect
from typing import Any

import torch

import protocol
import pytrees


def filled(args: Any, kwargs: Any, given_file: str) -> tuple[Any, Any]:
    """The call with the tensors of a tensors file in place of its own ones of the same names (`args.0`, ...)."""
    given = {tensor.name: pytrees.from_file(tensor) for tensor in protocol.read_tensors(given_file)}
    filled_call: tuple[Any, Any] = pytrees.filled(args, kwargs, given)
    return filled_call


def parameters(module: torch.nn.Module, args: Any, kwargs: Any) -> dict[str, str]:
    """The tensors of a call by the parameters of `forward`: `args.0` is `x`, `args.1.0` is `states.0`.

    Empty where the parameters aren't known; `*args` have the name of that parameter and their place.
    """
    try:
        positional = [
            one
            for one in inspect.signature(module.forward).parameters.values()
            if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL}
        ]
    except (TypeError, ValueError):
        return {}
    names = {}
    for leaf, _ in pytrees.tensor_leaves_of_call(args, kwargs):
        tree, _, path = leaf.partition(".")
        place, _, rest = path.partition(".")
        if tree == "kwargs":
            names[leaf] = path
            continue
        named = _named(positional, int(place))
        if named:
            names[leaf] = f"{named}.{rest}" if rest else named
    return names


def _named(positional: list[inspect.Parameter], place: int) -> str:
    for index, one in enumerate(positional):
        if one.kind == one.VAR_POSITIONAL:
            return f"{one.name}.{place - index}"
        if index == place:
            return one.name
    return ""
