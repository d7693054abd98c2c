"""The thin layer over CUDA that a measurement needs: a stream, events, memory, copies, graphs. No runtime, no numpy.

`Libcuda` calls the driver's library by ctypes and needs nothing else; `Pycuda` does the same through pycuda. Both use
the device's primary context, as the CUDA runtime does (and with it PyTorch, ONNX Runtime and TensorRT). Runtimes get
the `handle` of a stream. Allocated memory is never freed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from harness import Refused
from protocol import Ending

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: the stream doesn't wait for the default one."""
THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: calls of other threads aren't captured, and don't invalidate the capture."""

# The functions that are used, with the version suffixes that have these arguments.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "cuInit": (ctypes.c_uint,),
    "cuDeviceGet": (ctypes.c_void_p, ctypes.c_int),
    "cuDeviceGetPCIBusId": (ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    "cuDevicePrimaryCtxRetain": (ctypes.c_void_p, ctypes.c_int),
    "cuCtxSetCurrent": (ctypes.c_void_p,),
    "cuCtxSynchronize": (),
    "cuStreamCreate": (ctypes.c_void_p, ctypes.c_uint),
    "cuStreamSynchronize": (ctypes.c_void_p,),
    "cuEventCreate": (ctypes.c_void_p, ctypes.c_uint),
    "cuEventRecord": (ctypes.c_void_p, ctypes.c_void_p),
    "cuEventElapsedTime": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
    "cuMemAlloc_v2": (ctypes.c_void_p, ctypes.c_size_t),
    "cuMemAllocHost_v2": (ctypes.c_void_p, ctypes.c_size_t),
    "cuMemcpyHtoDAsync_v2": (ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
    "cuMemcpyDtoHAsync_v2": (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p),
    "cuStreamBeginCapture_v2": (ctypes.c_void_p, ctypes.c_int),
    "cuStreamEndCapture": (ctypes.c_void_p, ctypes.c_void_p),
    "cuGraphInstantiateWithFlags": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulonglong),
    "cuGraphLaunch": (ctypes.c_void_p, ctypes.c_void_p),
    "cuGetErrorString": (ctypes.c_int, ctypes.c_void_p),
}


class CudaError(RuntimeError):
    """A call of the driver failed; the message has the driver's reason."""


def open_driver() -> Libcuda:
    """The layer for the first visible GPU: by pycuda if it's installed, else by ctypes.

    Raises:
        Refused: there is no driver, or no GPU.
    """
    try:
        import pycuda  # noqa: F401
    except ModuleNotFoundError:
        return Libcuda()
    return Pycuda()


class Buffer:
    """Page-locked host memory: its `address`, its `size` in bytes, and a view of it."""

    def __init__(self, address: int, size: int, view: memoryview) -> None:
        self.address = address
        self.size = size
        self.view = view


class Libcuda:
    """The layer by ctypes. Streams and events are the driver's own handles, as whole numbers."""

    name = "libcuda, by ctypes"

    def __init__(self, library: str = "libcuda.so.1") -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise no_driver(str(error)) from None
        for name, arguments in _FUNCTIONS.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int
        try:
            self._call("cuInit", 0)
            self._device = self._made("cuDeviceGet", ctypes.c_int, 0)
        except CudaError as error:
            raise no_driver(str(error)) from None
        self._call("cuCtxSetCurrent", self._made("cuDevicePrimaryCtxRetain", ctypes.c_void_p, self._device))

    def bus_id(self) -> str:
        """The GPU's address on the PCI bus, "0000:65:00.0", which NVML uses, too."""
        text = ctypes.create_string_buffer(32)
        self._call("cuDeviceGetPCIBusId", text, len(text), self._device)
        return text.value.decode()

    def stream(self) -> Any:
        return self._made("cuStreamCreate", ctypes.c_void_p, NON_BLOCKING)

    def handle(self, stream: Any) -> int:
        """The number by which runtimes identify a stream."""
        return int(stream)

    def event(self) -> Any:
        return self._made("cuEventCreate", ctypes.c_void_p, 0)

    def record(self, event: Any, stream: Any) -> None:
        """Have the GPU record the time when it reaches this place in the stream."""
        if self._library.cuEventRecord(event, stream):
            self._call("cuEventRecord", event, stream)

    def elapsed_ns(self, start: Any, end: Any) -> int:
        """Nanoseconds between two completed events, in steps of about 500."""
        milliseconds = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(milliseconds), start, end)
        return round(milliseconds.value * 1e6)

    def synchronize(self, stream: Any) -> None:
        """Wait until all that is queued in the stream is done."""
        self._call("cuStreamSynchronize", stream)

    def synchronize_all(self) -> None:
        """Wait until all that is queued anywhere in this process is done."""
        self._call("cuCtxSynchronize")

    def allocate(self, size: int) -> int:
        """Allocate `size` bytes (at least one) of the GPU's memory; return the address."""
        return int(self._made("cuMemAlloc_v2", ctypes.c_uint64, max(1, size)))

    def page_locked(self, size: int) -> Buffer:
        """Allocate host memory that the GPU can access directly."""
        address = int(self._made("cuMemAllocHost_v2", ctypes.c_void_p, max(1, size)))
        return Buffer(address, size, memoryview((ctypes.c_char * size).from_address(address)).cast("B"))

    def copy_in(self, address: int, buffer: Buffer, stream: Any) -> None:
        """Queue a copy from host to GPU."""
        self._call("cuMemcpyHtoDAsync_v2", address, buffer.address, buffer.size, self.handle(stream))

    def copy_out(self, buffer: Buffer, address: int, stream: Any) -> None:
        """Queue a copy from GPU to host."""
        self._call("cuMemcpyDtoHAsync_v2", buffer.address, address, buffer.size, self.handle(stream))

    def captured(self, stream: Any, enqueue: Callable[[], Any]) -> Callable[[], None]:
        """Capture what `enqueue` queues as a CUDA graph; return a function that launches the graph.

        Raises:
            CudaError: a part of it can't be captured.
        """
        handle = self.handle(stream)
        self._call("cuStreamBeginCapture_v2", handle, THREAD_LOCAL)
        try:
            enqueue()
        finally:
            graph = self._last("cuStreamEndCapture", ctypes.c_void_p, handle)
        runnable = self._made("cuGraphInstantiateWithFlags", ctypes.c_void_p, graph, 0)
        launch = self._library.cuGraphLaunch

        def replay() -> None:
            if launch(runnable, handle):
                self._call("cuGraphLaunch", runnable, handle)

        return replay

    def _made(self, function: str, kind: Any, *arguments: Any) -> Any:
        """Call a function that writes its result to its first argument."""
        value = kind()
        self._call(function, ctypes.byref(value), *arguments)
        return value.value

    def _last(self, function: str, kind: Any, *arguments: Any) -> Any:
        """Call a function that writes its result to its last argument."""
        value = kind()
        self._call(function, *arguments, ctypes.byref(value))
        return value.value

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            raise CudaError(f"{function}: {(text.value or b'unknown error').decode()} ({status})")


class Pycuda(Libcuda):
    """The layer by pycuda: its streams, events and memory. Graphs use the driver's own functions."""

    def __init__(self) -> None:
        super().__init__()
        try:
            import pycuda
            from pycuda import driver
        except ImportError as error:
            raise no_driver(str(error)) from None
        self._pycuda: Any = driver
        self._allocations: list[Any] = []
        driver.init()
        self._context = driver.Device(0).retain_primary_context()
        self._context.push()
        self.name = f"pycuda {pycuda.VERSION_TEXT}"

    def stream(self) -> Any:
        return self._pycuda.Stream(NON_BLOCKING)

    def handle(self, stream: Any) -> int:
        return int(stream.handle)

    def event(self) -> Any:
        return self._pycuda.Event()

    def record(self, event: Any, stream: Any) -> None:
        event.record(stream)

    def elapsed_ns(self, start: Any, end: Any) -> int:
        return round(float(start.time_till(end)) * 1e6)

    def synchronize(self, stream: Any) -> None:
        stream.synchronize()

    def synchronize_all(self) -> None:
        self._context.synchronize()

    def allocate(self, size: int) -> int:
        self._allocations.append(self._pycuda.mem_alloc(max(1, size)))
        return int(self._allocations[-1])

    def page_locked(self, size: int) -> Buffer:
        array = self._pycuda.pagelocked_empty(max(1, size), "uint8")
        self._allocations.append(array)
        return Buffer(array.ctypes.data, size, memoryview(array)[:size])

    def copy_in(self, address: int, buffer: Buffer, stream: Any) -> None:
        if buffer.size:
            self._pycuda.memcpy_htod_async(address, buffer.view, stream)

    def copy_out(self, buffer: Buffer, address: int, stream: Any) -> None:
        if buffer.size:
            self._pycuda.memcpy_dtoh_async(buffer.view, address, stream)


def no_driver(why: str) -> Refused:
    """The error where CUDA can't be used at all."""
    hint = "Check what is missing: isobench doctor --device nvidia"
    return Refused(Ending.DEVICE_MISSING, f"no usable NVIDIA GPU: {why}", hint)
