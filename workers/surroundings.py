"""What surrounds a call in PyTorch's global state: autocast, grad mode, default type, attention kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch

_SDP_KERNELS = ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp")


class Surroundings(NamedTuple):
    """The global state at a call. `autocast` has (device type, element type) pairs;
    `grad_mode` is "inference_mode", "no_grad" or "grad".
    """

    grad_mode: str
    autocast: tuple[tuple[str, torch.dtype], ...]
    default_dtype: torch.dtype
    sdp_kernels: tuple[tuple[str, bool], ...]
    mha_fastpath: bool

    @classmethod
    def now(cls) -> Surroundings:
        """The state of this thread, now."""
        grad_mode = "grad" if torch.is_grad_enabled() else "no_grad"
        return cls(
            grad_mode="inference_mode" if torch.is_inference_mode_enabled() else grad_mode,
            autocast=tuple(
                (kind, torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)
            ),
            default_dtype=torch.get_default_dtype(),
            sdp_kernels=tuple((name, enabled()) for name, enabled in _sdp_switches()),
            mha_fastpath=torch.backends.mha.get_fastpath_enabled(),
        )

    def text(self) -> str:
        """What differs from a call without any context, in words; "" for nothing."""
        parts = [f"autocast({kind}, {str(dtype).removeprefix('torch.')})" for kind, dtype in self.autocast]
        if self.default_dtype != torch.float32:
            parts.append(f"default dtype {str(self.default_dtype).removeprefix('torch.')}")
        return " and ".join(parts)

    @contextmanager
    def entered(self, grad_mode: str = "", *, device: str = "") -> Iterator[None]:
        """Set the state again, with another grad mode if one is given, and restore the present one afterwards.

        On a GPU (`device` "cuda"), autocast of the CPU becomes that of the GPU, because the model has moved there.
        """
        before = Surroundings.now()
        with ExitStack() as stack:
            stack.enter_context(grad_context(grad_mode or self.grad_mode))
            for kind, dtype in self.autocast:
                stack.enter_context(torch.autocast(device or kind, dtype=dtype))
            try:
                self._set_switches()
                yield
            finally:
                before._set_switches()

    def _set_switches(self) -> None:
        torch.set_default_dtype(self.default_dtype)
        torch.backends.mha.set_fastpath_enabled(self.mha_fastpath)
        for name, enabled in self.sdp_kernels:
            getattr(torch.backends.cuda, f"enable_{name}")(enabled)


def grad_context(mode: str) -> Any:
    """The context of a grad mode: "inference_mode", "no_grad" or "grad"."""
    contexts = {"inference_mode": torch.inference_mode, "no_grad": torch.no_grad, "grad": torch.enable_grad}
    return contexts[mode]()


def _sdp_switches() -> list[tuple[str, Any]]:
    found = [(name, getattr(torch.backends.cuda, f"{name}_enabled", None)) for name in _SDP_KERNELS]
    return [(name, enabled) for name, enabled in found if enabled is not None]
