"""Operands of attention: masks, lengths, positions. ONNX's own operators and those of ONNX Runtime (com.microsoft)."""

from __future__ import annotations

from isobench.builds.input_rules.base import At, Rule, RuleMaker, exactly


def mask_index(slot: int = 0) -> RuleMaker:
    """The mask of com.microsoft's Attention: ones; of rank 1, the end (and the start) of each sequence of `slot`."""

    def rule(at: At) -> Rule | None:
        import numpy as np

        mask, data = at.sizes(), at.shape(slot)
        if mask is None or not data or len(data) < 2 or data[1] is None:
            return None
        if len(mask) != 1:
            return exactly(at, 1, "mask")
        batch, length = data[0] or 1, data[1]
        if mask[0] == 2 * batch:
            return exactly(at, [*[length] * batch, *[0] * batch], "ends and starts")
        if mask[0] == 3 * batch + 2:
            starts = np.arange(batch + 1) * length
            return exactly(at, [*[length] * batch, *starts, *starts], "lengths and starts")
        return exactly(at, length, "longest sequence")

    return rule


def key_lengths(at: At) -> Rule | None:
    """The lengths of valid keys: all of (batch, heads, length, size) or (batch, length, heads * size)."""
    keys = at.shape(1)
    length = keys[len(keys) - 2] if keys and len(keys) in {3, 4} else None
    return None if length is None else exactly(at, length, "longest sequence")


def ones(at: At) -> Rule | None:
    """A mask that hides nothing."""
    return exactly(at, 1, "mask")


def zeros(at: At) -> Rule | None:
    """A bias or offset that changes nothing."""
    return exactly(at, 0)


def last_positions(at: At) -> Rule | None:
    """GroupQueryAttention's seqlens_k: the whole length, past included, less one."""
    total = _total(at)
    return None if total is None else exactly(at, total - 1, "total length - 1")


def total_length(at: At) -> Rule | None:
    """GroupQueryAttention's total length: past and present."""
    total = _total(at)
    return None if total is None else exactly(at, total, "total length")


def _total(at: At) -> int | None:
    query, past, present = at.shape(0), at.shape(3), at.declared(1)
    own = query[1] if query and len(query) > 1 else None
    if own is None:
        return None
    before = past[2] if past and len(past) == 4 else 0
    if present and len(present) == 4 and present[2]:
        return max(own, min(present[2], own + (before or 0)))
    return own + (before or 0)


def past_length(at: At) -> Rule | None:
    """The length of the past that is valid: all of a cache that has room for one more, else all."""
    cache = next((shape for slot in range(at.use.slot) if (shape := at.shape(slot)) and len(shape) in {4, 5}), None)
    size = cache[-2] if cache else None
    return None if size is None else exactly(at, max(0, size - 1), "past length")


def positions(at: At) -> Rule | None:
    """Positions that count up within the table of angles; of a single element, where they begin."""
    import numpy as np

    sizes = at.sizes()
    table = at.shape(2 if at.node.domain == "com.microsoft" else 1)
    if sizes is None or not table or not table[0]:
        return None
    if at.node.domain == "com.microsoft" and sizes in {(), (1,)}:
        return exactly(at, 0, "first position")
    counted = np.broadcast_to(np.arange(sizes[-1] if sizes else 1) % table[0], sizes)
    return Rule(exact=counted, words=f"counting up (positions of {at.operator})")


def embedding_positions(at: At) -> Rule | None:
    """EmbedLayerNormalization's positions: counting up within the table."""
    import numpy as np

    sizes, table = at.sizes(), at.shape(3)
    if not sizes or not table or not table[0]:
        return None
    counted = np.broadcast_to(np.arange(sizes[-1]) % table[0], sizes)
    return Rule(exact=counted, words=f"counting up (positions of {at.operator})")


def longest(at: At) -> Rule | None:
    """The longest sequence that a search may generate: four tokens more than it starts with."""
    prompt = at.shape(0)
    length = prompt[1] if prompt and len(prompt) > 1 else None
    return exactly(at, (length or 1) + 4, "longest sequence")


def vocabulary(at: At) -> Rule | None:
    """Tokens of a search: below its vocabulary's size, where the node says it."""
    size = int(at.attribute("vocab_size", -1))
    high = size - 1 if size > 0 else 9
    return Rule(low=0, high=high, words=f"tokens of {at.operator} (0 to {high})")
