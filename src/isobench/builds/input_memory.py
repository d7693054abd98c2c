"""Refuses inputs that are larger than the memory: the kernel would end this process, and perhaps others, instead."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isobench.errors import ModelError
from isobench.failures import Ending
from isobench.planning.models import TensorSpec
from isobench.system import memory
from isobench.workers import protocol

COPIES = 2
"""They are in memory twice while they are written to a file."""
_TEXT_BYTES = 16
_FEW_BYTES = 1 << 26
_SHOWN = 3


def check(specs: Sequence[TensorSpec]) -> None:
    """Check inputs whose values are about to be made; their sizes are fixed.

    Raises:
        ModelError: they need more memory than there is.
    """
    sizes = {spec: math.prod(size or 0 for size in spec.shape) * _item_bytes(spec.dtype) for spec in specs}
    needed = COPIES * sum(sizes.values())
    if needed <= _FEW_BYTES:
        return
    available = memory.available_bytes()
    if available is not None and needed > available:
        largest = sorted(sizes, key=lambda spec: sizes[spec], reverse=True)
        more = f" and {len(largest) - _SHOWN} more" if len(largest) > _SHOWN else ""
        raise ModelError(
            f"the inputs don't fit into memory: {', '.join(map(str, largest[:_SHOWN]))}{more} need {needed:,} bytes, "
            f"and {available:,} are available",
            hint="Choose smaller sizes: --dim NAME=N, --shape INPUT=N,N,...",
            kind=Ending.OUT_OF_MEMORY,
        )


def _item_bytes(dtype: str) -> int:
    return protocol.DTYPES.get(dtype, 0) or _TEXT_BYTES
