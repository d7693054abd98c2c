"""What lies in the run directory at the end: no files, files of other kinds, of other content, of other sizes."""

import ctypes
import os
import shutil
import stat
import sys
import time

import protocol
from ways import each, way

OUTPUTS, SAMPLES, TENSORS = protocol.OUTPUTS_FILE, protocol.SAMPLES_FILE, protocol.OUTPUT_TENSORS_FILE


def content(name, data):
    def does(folder):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)

    return does


def replaced(name, make):
    def does(folder):
        path = os.path.join(folder, name)
        os.unlink(path)
        make(path)

    return does


def bound(path):
    """A socket; one that is bound can't have a path of more than 107 letters."""
    os.mknod(path, stat.S_IFSOCK | 0o600)


each(
    "after",
    "protocol",
    says="malformed outputs",
    json_empty=content(OUTPUTS, b""),
    json_half=content(OUTPUTS, b'{"schema": "isobench.outputs/1", "status": "ok", "latency_s": [0.00'),
    json_list=content(OUTPUTS, b"[1,2]"),
    json_number=content(OUTPUTS, b"5"),
    json_nuls=content(OUTPUTS, bytes(100)),
    json_deep=content(OUTPUTS, b"[" * 200_000 + b"]" * 200_000),
    json_deep_object=content(OUTPUTS, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    json_latin=content(OUTPUTS, b'{"schema": "isobench.outputs/1", "status": "\xff"}'),
    json_utf16=content(OUTPUTS, '{"schema": "isobench.outputs/1"}'.encode("utf-16")[3:]),
    json_wide_number=content(
        OUTPUTS, b'{"schema": "isobench.outputs/1", "status": "ok", "load_s": ' + b"9" * 10_000 + b"}"
    ),
    json_no_schema=content(OUTPUTS, b'{"status": "ok"}'),
    json_random=content(OUTPUTS, bytes(range(256)) * 50),
    json_of_180_megabytes=content(OUTPUTS, b'{"schema": "isobench.outputs/1", "x": "' + b"0" * 180_000_000 + b'"}'),
    json_fifo=replaced(OUTPUTS, os.mkfifo),
    json_folder=replaced(OUTPUTS, os.mkdir),
    json_socket=replaced(OUTPUTS, bound),
    json_link_to_zero=replaced(OUTPUTS, lambda path: os.symlink("/dev/zero", path)),
    json_link_to_tty=replaced(OUTPUTS, lambda path: os.symlink("/dev/tty", path)),
    json_link_to_passwd=replaced(OUTPUTS, lambda path: os.symlink("/etc/passwd", path)),
    json_link_to_memory=replaced(OUTPUTS, lambda path: os.symlink("/proc/self/mem", path)),
)
each(
    "after",
    "protocol",
    says="must be a regular file, got a link",
    samples_link_to_zero=replaced(SAMPLES, lambda path: os.symlink("/dev/zero", path)),
    samples_dangling_link=replaced(SAMPLES, lambda path: os.symlink("/nowhere", path)),
    tensors_link_to_zero=replaced(TENSORS, lambda path: os.symlink("/dev/zero", path)),
)
each(
    "after",
    "protocol",
    says="left no measurement",
    samples_none=content(SAMPLES, b""),
    samples_cut=content(SAMPLES, bytes(9)),
    samples_few=content(SAMPLES, (1000).to_bytes(8, "little")),
    samples_zero=lambda folder: refill(folder, bytes(8)),
    samples_negative=lambda folder: refill(folder, b"\xff" * 8),
    samples_longest=lambda folder: refill(folder, b"\xff" * 7 + b"\x7f"),
    samples_an_hour=lambda folder: refill(folder, (3600 * 10**9).to_bytes(8, "little")),
    samples_gone=lambda folder: os.unlink(os.path.join(folder, SAMPLES)),
    samples_folder=replaced(SAMPLES, os.mkdir),
    samples_fifo=replaced(SAMPLES, os.mkfifo),
    samples_sparse=lambda folder: os.truncate(os.path.join(folder, SAMPLES), 1 << 40),
    end_to_end_other_count=content(protocol.END_TO_END_FILE, b"\1" * 8),
    end_to_end_empty=content(protocol.END_TO_END_FILE, b""),
    end_to_end_folder=lambda folder: os.mkdir(os.path.join(folder, protocol.END_TO_END_FILE)),
    end_to_end_fifo=lambda folder: os.mkfifo(os.path.join(folder, protocol.END_TO_END_FILE)),
)
each(
    "after",
    "protocol",
    says="outputs can't be read",
    tensors_empty=content(TENSORS, b""),
    tensors_cut=lambda folder: os.truncate(
        os.path.join(folder, TENSORS), os.path.getsize(os.path.join(folder, TENSORS)) - 5
    ),
    tensors_garbage=content(TENSORS, bytes(range(255, 0, -1)) * 2),
    tensors_deep=content(TENSORS, b"\x91" * 100_000 + b"\x90"),
    tensors_extension=content(TENSORS, b"\xc7\x05\x01hello"),
    tensors_timestamp=content(TENSORS, b"\xd6\xff\x00\x00\x00\x01"),
    tensors_list=content(TENSORS, b"\x93\x01\x02\x03"),
    tensors_huge_length=content(TENSORS, b"\xdd\xff\xff\xff\xff"),
    tensors_map_of_maps=content(TENSORS, b"\x81\x81\x01\x02\x03"),
    tensors_fifo=replaced(TENSORS, os.mkfifo),
    tensors_folder=replaced(TENSORS, os.mkdir),
    tensors_sparse=lambda folder: os.truncate(os.path.join(folder, TENSORS), 1 << 40),
)


@way("after", "protocol", says="without a result")
def json_link_to_itself(folder):
    replaced(OUTPUTS, lambda path: os.symlink(path, path))(folder)


def refill(folder, sample):
    path = os.path.join(folder, SAMPLES)
    count = os.path.getsize(path) // 8
    with open(path, "wb") as file:
        file.write(sample * count)


@way("after", "protocol")
def folder_removed(folder):
    shutil.rmtree(folder)
    os._exit(0)


@way("after", "protocol")
def folder_is_a_file(folder):
    shutil.rmtree(folder)
    content(folder, b"x")("")
    os._exit(0)


@way("after", "protocol")
def folder_is_a_link(folder):
    shutil.rmtree(folder)
    os.symlink("/nowhere", folder)
    os._exit(0)


@way("after", "ok", "protocol")
def folder_without_rights(folder):
    os.chmod(folder, 0)


@way("after", "ok", "protocol")
def json_without_rights(folder):
    os.chmod(os.path.join(folder, OUTPUTS), 0)


@way("after", "exception", "protocol")
def folder_removed_and_raises(folder):
    shutil.rmtree(folder)
    raise RuntimeError("gone")


@way("after", "crash", says="exited with code 1")
def log_is_a_folder(folder):
    os.unlink(os.path.join(folder, OUTPUTS))
    replaced(protocol.LOG_FILE, os.mkdir)(folder)
    os._exit(1)


@way("after", "crash", says="exited with code 1")
def log_is_a_fifo(folder):
    os.unlink(os.path.join(folder, OUTPUTS))
    replaced(protocol.LOG_FILE, os.mkfifo)(folder)
    os._exit(1)


@way("after", "crash", says="exited with code 1")
def log_is_a_link(folder):
    os.unlink(os.path.join(folder, OUTPUTS))
    replaced(protocol.LOG_FILE, lambda path: os.symlink("/dev/zero", path))(folder)
    os._exit(1)


@way("after", "crash", says="exited with code 1")
def log_of_a_terabyte(folder):
    os.unlink(os.path.join(folder, OUTPUTS))
    os.truncate(os.path.join(folder, protocol.LOG_FILE), 1 << 40)
    os._exit(1)


@way("after", "ok", says="was killed by SIGSEGV after it had written its results")
def segfault_at_the_end(_folder):
    ctypes.string_at(0)


@way("after", "ok", says="was killed by SIGABRT after it had written its results")
def abort_at_the_end(_folder):
    os.abort()


@way("after", "ok", says="exited with code 3 after it had written its results")
def exit_3_at_the_end(_folder):
    os._exit(3)


@way("after", "ok", says="exited with code 4 after it had written its results")
def sys_exit_4_at_the_end(_folder):
    sys.exit(4)


@way("after", "ok")
def sys_exit_0_at_the_end(_folder):
    sys.exit(0)


@way("after", "exception", says="after the result")
def raise_at_the_end(_folder):
    raise RuntimeError("after the result")


@way("after", "timeout")
def hang_at_the_end(_folder):
    time.sleep(10**6)


@way("after", "ok")
def leaves_a_folder(folder):
    os.mkdir(os.path.join(folder, "more"))
    content("more/one", b"1")(folder)


@way("after", "ok")
def leaves_ten_thousand_files(folder):
    for number in range(10_000):
        open(os.path.join(folder, f"{number}.tmp"), "w").close()


@way("after", "disk-full")
def outputs_disk_full(folder):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    os.unlink(os.path.join(folder, OUTPUTS))
    protocol.write_bytes = full
    protocol.write_json(os.path.join(folder, OUTPUTS), {})
