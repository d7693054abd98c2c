"""What goes wrong while inferences are timed."""

import ctypes
import errno
import os
import resource
import shutil
import signal
import sys
import time

from ways import each, raises, way


each(
    "running",
    "exception",
    says="failed while measuring",
    measuring_raises=raises(lambda: ValueError("in the middle")),
    measuring_sys_exit=lambda folder: sys.exit(0),
)
each(
    "running",
    "crash",
    measuring_segfault=lambda folder: ctypes.string_at(0),
    measuring_abort=lambda folder: os.abort(),
    measuring_kill=lambda folder: os.kill(os.getpid(), signal.SIGKILL),
    measuring_exit_0=lambda folder: os._exit(0),
    measuring_exit_7=lambda folder: os._exit(7),
)
each(
    "running",
    "timeout",
    measuring_hangs=lambda folder: time.sleep(10**6),
    measuring_stops=lambda folder: os.kill(os.getpid(), signal.SIGSTOP),
)
each(
    "running",
    "out-of-memory",
    measuring_memory=raises(MemoryError),
)
each(
    "running",
    "disk-full",
    measuring_disk=raises(lambda: OSError(errno.ENOSPC, "No space left on device")),
)
each(
    "running",
    "out-of-device-memory",
    measuring_device_memory=raises(lambda: RuntimeError("CUDA error: out of memory")),
)


@way("running", "protocol", "exception")
def measuring_removes_its_folder(folder):
    shutil.rmtree(folder)


@way("running", "exception", "protocol")
def measuring_closes_everything(_folder):
    os.closerange(3, 1000)


@way("running", "protocol", "ok")  # ok: if no block was written yet
def measuring_truncates_samples(folder):
    open(os.path.join(folder, "samples.bin"), "wb").close()


@way("running", "ok")
def measuring_changes_folder(_folder):
    os.chdir("/")


@way("running", "exception", "protocol", "crash", "disk-full")
def measuring_no_file_may_grow(_folder):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))


@way("running", "protocol", "ok")
def measuring_stops_the_clock(_folder):
    time.perf_counter_ns = lambda: 0
