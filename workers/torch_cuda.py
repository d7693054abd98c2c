"""PyTorch on a GPU: moves the module and its inputs there completely, and times them on our own stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

import cuda_driver
import gpu_timing
import pytrees
from harness import Refused
from protocol import Ending


def placed(module: torch.nn.Module, args: Any, kwargs: Any) -> tuple[torch.nn.Module, Any, Any]:
    """The module and its arguments in the GPU's memory.

    Raises:
        Refused: this PyTorch finds no GPU, or a tensor stays on the CPU.
    """
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA"
        raise cuda_driver.no_driver(f"PyTorch {torch.__version__} ({built}) finds none")
    torch.cuda.set_device(0)  # the one that is timed and monitored, whichever the script has chosen
    module = module.to("cuda")
    left = [
        name
        for named in (module.named_parameters(), module.named_buffers())
        for name, tensor in named
        if tensor.device.type != "cuda"
    ]
    if left:
        raise _left(f"the module's {', '.join(left[:5])}")
    args, kwargs = pytrees.replaced(
        args, kwargs, {name: tensor.to("cuda") for name, tensor in pytrees.tensor_leaves_of_call(args, kwargs)}
    )
    return module, args, kwargs


def require_unchanging(renewed: Sequence[str]) -> None:
    """Raises:
    Refused: a call changes the model or its inputs (`renewed`), which isn't set back on a GPU.
    """
    if renewed:
        raise Refused(
            Ending.MODEL_ERROR,
            f"a call of the model changes {', '.join(renewed[:4])}, which isobench doesn't renew on a GPU",
            "Measure it on the CPU, or give the model fresh inputs and no state of its own.",
        )


def use_tf32(on: bool) -> None:
    """One setting for matrices and convolutions; PyTorch's defaults differ between them."""
    if hasattr(torch.backends, "fp32_precision"):
        # Since 2.9. A script's values here would override the switches below where these are off.
        torch.backends.fp32_precision = torch.backends.cudnn.fp32_precision = "tf32" if on else "ieee"
    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on


class Call:
    """A call prepared on the GPU, on its own stream, with host memory for its inputs and outputs.

    A context manager: inside, PyTorch queues its work in that stream.
    """

    def __init__(self, called: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._cuda = cuda_driver.Libcuda()  # even if pycuda is installed, which accepts only its own streams
        self._stream = torch.cuda.Stream()
        self._context: Any = torch.cuda.stream(self._stream)
        self._called: Callable[[], Any] = lambda: called(*args, **kwargs)
        given = [tensor for _, tensor in pytrees.tensor_leaves_of_call(args, kwargs)]
        self._inputs = [(tensor, _on_host(tensor).copy_(tensor)) for tensor in given]
        self._outputs: list[torch.Tensor] = []
        self.first_s = 0.0
        self.monitor, self.facts = gpu_timing.watch(self._cuda)

    def __enter__(self) -> gpu_timing.Inference:
        self._cuda.synchronize_all()
        self._context.__enter__()
        started = time.perf_counter()
        value = self._called()
        self._cuda.synchronize_all()
        self.first_s = time.perf_counter() - started
        outputs = [tensor for _, tensor in pytrees.outputs(value)]
        left = [str(tensor.device) for tensor in outputs if tensor.device.type != "cuda"]
        if left:
            raise _left(f"an output (on {left[0]})")
        self._outputs = [_on_host(tensor) for tensor in outputs]
        return gpu_timing.Inference(
            self._cuda,
            self._stream.cuda_stream,
            enqueue=self._called,
            copy_in=self._copy_in,
            copy_out=self._copy_out,
            monitor=self.monitor,
        )

    def __exit__(self, *exception: object) -> None:
        self._context.__exit__(*exception)

    def all_facts(self) -> dict[str, Any]:
        """Facts about the GPU and the timing."""
        return {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "tf32": torch.backends.cuda.matmul.allow_tf32,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "cuda_layer": self._cuda.name,
            "gpu": self.facts,
            **gpu_timing.CONTRACT,
        }

    def _copy_in(self) -> None:
        for tensor, buffer in self._inputs:
            tensor.copy_(buffer, non_blocking=True)

    def _copy_out(self, value: Any) -> None:
        for buffer, (_, tensor) in zip(self._outputs, pytrees.outputs(value), strict=True):
            buffer.copy_(tensor, non_blocking=True)


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    """Page-locked host memory for a tensor, in its memory layout."""
    return torch.empty_like(tensor, device="cpu", pin_memory=True)


def _left(what: str) -> Refused:
    return Refused(
        Ending.PROVIDER_FALLBACK,
        f"{what} would stay on the CPU while the model runs on the GPU",
        "Register it as a parameter or a buffer, and create tensors on the device of the inputs.",
    )
