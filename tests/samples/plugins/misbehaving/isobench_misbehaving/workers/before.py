"""What goes wrong before anything is measured: exceptions, exits, signals, hangs, floods of the log."""

import ctypes
import errno
import os
import resource
import signal
import sys
import threading
import time

import harness
from ways import each, raises, way


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


class OutOfMemoryError(RuntimeError):
    pass


def signals(number):
    def does(_folder):
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)
        time.sleep(5)

    return does


each(
    "before",
    "exception",
    says="failed while loading",
    raise_plain=raises(lambda: RuntimeError("load failed on purpose")),
    raise_unicode=raises(lambda: RuntimeError("caf\u00e9 \udcff \x1b[31mred\x1b[0m \x07 \x00 end")),
    raise_huge=raises(lambda: RuntimeError("x" * 50_000_000)),
    raise_lines=raises(lambda: ValueError("line\n" * 100_000)),
    raise_empty=raises(lambda: RuntimeError()),
    raise_bytes=raises(lambda: ValueError(b"\xff\xfe", {"a": [1]})),
    raise_unprintable=raises(Unprintable),
    raise_chained=lambda folder: chained(),
    raise_recursion=lambda folder: recurse(0),
    raise_interrupt=raises(KeyboardInterrupt),
    raise_generator_exit=raises(GeneratorExit),
    raise_stop_iteration=raises(StopIteration),
    raise_group=raises(lambda: ExceptionGroup("of a group", [ValueError("one"), KeyError("two")])),
    raise_io=raises(lambda: OSError(errno.EIO, "Input/output error")),
    raise_late_import=raises(lambda: ModuleNotFoundError("No module named 'x'")),
    sys_exit_0=lambda folder: sys.exit(0),
    sys_exit_3=lambda folder: sys.exit(3),
    sys_exit_text=lambda folder: sys.exit("enough"),
)
each(
    "before",
    "out-of-memory",
    memory_python=raises(MemoryError),
    memory_message=raises(lambda: RuntimeError("std::bad_alloc")),
    memory_allocator=raises(lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")),
    memory_limit=lambda folder: (
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
        bytearray(4 << 30),
    ),
)
each(
    "before",
    "out-of-device-memory",
    device_memory_torch=raises(lambda: OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")),
    device_memory_driver=raises(lambda: RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: cuMemAlloc")),
    device_memory_runtime=raises(lambda: RuntimeError("cudaErrorMemoryAllocation: out of memory")),
)
each(
    "before",
    "disk-full",
    disk_error=raises(lambda: OSError(errno.ENOSPC, "No space left on device")),
    disk_quota=raises(lambda: OSError(errno.EDQUOT, "Disk quota exceeded")),
    disk_message=raises(lambda: RuntimeError("write failed: No space left on device")),
    disk_really=lambda folder: open("/dev/full", "wb", buffering=0).write(b"x"),
)
each(
    "before",
    "unsupported-operator",
    operator_of_ort=raises(
        lambda: RuntimeError("9 : NOT_IMPLEMENTED : Could not find an implementation for Erf(13) node with name 'n'")
    ),
    operator_of_openvino=raises(lambda: RuntimeError("-- No conversion rule found for operations: Optional-17")),
)
each(
    "before",
    "crash",
    says=r"was killed by SIG\w+ while loading",
    segfault=lambda folder: ctypes.string_at(0),
    abort=lambda folder: os.abort(),
    sigfpe=signals(signal.SIGFPE),
    sigill=signals(signal.SIGILL),
    sigbus=signals(signal.SIGBUS),
    sigkill=signals(signal.SIGKILL),
    sigterm=signals(signal.SIGTERM),
    sigxcpu=signals(signal.SIGXCPU),
    sighup=signals(signal.SIGHUP),
    cpu_limit=lambda folder: (resource.setrlimit(resource.RLIMIT_CPU, (1, 1)), spin()),
)
each(
    "before",
    "crash",
    says=r"exited with code \d+ and no result",
    exit_0=lambda folder: os._exit(0),
    exit_3=lambda folder: os._exit(3),
    exit_255=lambda folder: os._exit(255),
)
each(
    "before",
    "timeout",
    says="--timeout",
    hang=lambda folder: time.sleep(10**6),
    hang_busy=lambda folder: spin(),
    hang_with_the_gil=lambda folder: ctypes.PyDLL(None).sleep(100_000),
    hang_compiling=lambda folder: (harness.stage("compiling"), time.sleep(10**6)),
    hang_ignoring_signals=lambda folder: (ignore_signals(), time.sleep(10**6)),
    hang_with_children=lambda folder: (fork(20), time.sleep(10**6)),
    hang_stopped=lambda folder: os.kill(os.getpid(), signal.SIGSTOP),
    hang_at_the_lock=lambda folder: (lock := threading.Lock(), lock.acquire(), lock.acquire()),
    hang_at_a_pipe=lambda folder: os.read(os.pipe()[0], 1),
)


@way("before", "crash", "exception")
def stack_overflow(_folder):
    sys.setrecursionlimit(10**9)
    value = []
    for _ in range(1_000_000):
        value = [value]
    repr(value)  # a C function that calls itself


@way("before", "exception", says="after the flood")
def flood_then_raise(_folder):
    for _ in range(500):
        os.write(1, b"\x1b[31mred " * 8000)
    raise RuntimeError("after the flood")


@way("before", "ok")
def flood_without_lines(_folder):
    for _ in range(1000):
        os.write(2, b"x" * 65536)


@way("before", "ok")
def flood_of_nuls(_folder):
    os.write(1, bytes(1 << 24))


@way("before", "refused", says="this can't be done")
def refuse(_folder):
    raise harness.Refused("too-bad", "this can't be done", "do something else")


@way("before", "refused", says="msg")
def refuse_ansi(_folder):
    raise harness.Refused("too\x1b[31m-bad", "msg \x1b]0;TITLE\x07 \x1b[2J", "hint \x1b[31m")


@way("before", "refused", says="ok")
def refuse_as_ok(_folder):
    raise harness.Refused("ok", "ok", "")


@way("before", "refused", "exception")
def refuse_wrong_types(_folder):
    raise harness.Refused(5, ["a", {}], {"b": 1})


@way("before", "bad-argument", says="so long")
def refuse_long(_folder):
    raise harness.Refused("bad-argument", "so long" * 1_000_000, "x" * 1_000_000, "y" * 5_000_000)


@way("before", "ok")
def thread_that_never_ends(_folder):
    threading.Thread(target=time.sleep, args=(600,)).start()


@way("before", "ok")
def umask(_folder):
    os.umask(0o777)


@way("before", "ok", "exception")
def no_more_descriptors(_folder):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


@way("before", "ok")
def changes_folder(_folder):
    os.chdir("/")


@way("before", "ok")
def empties_the_environment(_folder):
    os.environ.clear()


def recurse(depth):
    return recurse(depth + 1)


def chained():
    try:
        raise KeyError("a")
    except KeyError as error:
        raise RuntimeError("because of another") from error


def spin():
    while True:
        pass


def ignore_signals():
    for number in range(1, 32):
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)


def fork(count):
    for _ in range(count):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
