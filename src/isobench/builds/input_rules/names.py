"""Inputs that are recognised by their names: masks, positions, token types, lengths."""

from __future__ import annotations

import re
from collections.abc import Sequence

from isobench.builds.input_rules.base import Rule
from isobench.planning.models import TensorSpec

ATTENTION_MASK = re.compile(r"(attention|attn|padding|pixel|key|encoder|decoder|src|tgt)_?mask")
POSITIONS = re.compile(r"position_?ids?|cache_position|(^|[._])positions?$")
TOKEN_TYPES = re.compile(r"token_?types?|segment_?ids?")
LENGTHS = re.compile(r"(^|[._])(seq_?)?len(gth)?s?$|seq_?len|[._](lens?|lengths?)$|_lengths?$")


def rule_by_name(spec: TensorSpec, others: Sequence[TensorSpec]) -> Rule | None:
    """What the name of an input says about its values; None if it says nothing."""
    import numpy as np

    name = spec.name.lower()
    sizes = tuple(size or 0 for size in spec.shape)
    integers = spec.dtype.startswith(("int", "uint"))
    if spec.dtype == "string" or spec.dtype.startswith("complex"):
        return None
    if ATTENTION_MASK.search(name) or ("mask" in name and (integers or spec.dtype == "bool")):
        return Rule(exact=np.ones(sizes, np.int64), words="ones (mask by name)")
    if not integers:
        return None
    if POSITIONS.search(name) and sizes:
        counted = np.broadcast_to(np.arange(sizes[-1]), sizes)
        return Rule(exact=counted, words="counting up (positions by name)")
    if TOKEN_TYPES.search(name):
        return Rule(exact=np.zeros(sizes, np.int64), words="zeros (token types by name)")
    longest = _longest(spec, others) if LENGTHS.search(name) else None
    if longest:
        return Rule(exact=np.full(sizes, longest), words=f"all {longest} (the longest, by name)")
    return None


def _longest(spec: TensorSpec, others: Sequence[TensorSpec]) -> int | None:
    """The length of the sequences that a length belongs to: axis 1 of the first other input of rank 2 or more."""
    for other in others:
        if other.name != spec.name and len(other.shape) >= 2 and other.shape[1]:
            return other.shape[1]
    return None
