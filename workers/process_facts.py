"""Facts about this process: its interpreter, environment variables, packages and native libraries.

Standard library only, and no siblings: the host imports this module, too.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from contextlib import suppress
from typing import Any

RECORDED_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "LD_PRELOAD",
    "OMP_",
    "KMP_",
    "MKL_",
    "GOMP_",
    "OPENBLAS_",
    "ATEN_",
    "DNNL_",
    "ONEDNN_",
    "MALLOC_",
    "GLIBC_TUNABLES",
    "TORCHINDUCTOR_",
    "TORCH_COMPILE_",
    "PYTHONHASHSEED",
    "PYTHONMALLOC",
    "ORT_DISABLE_TELEMETRY",
    "TF_BUILD",
)
"""The environment variables that a result may contain, by prefix: those that change the speed of a program."""


def collect() -> dict[str, Any]:
    """All of them, as JSON; takes some milliseconds, so call it after the measurement."""
    site_packages = [folder for folder in sys.path if folder.endswith("site-packages") and os.path.isdir(folder)]
    return {
        "pid": os.getpid(),
        "python": sys.version,
        "executable": sys.executable,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "environment": recorded_variables(),
        # Both shift a process's memory layout: the size of its environment, and the randomized hashes of strings.
        "environment_bytes": sum(len(name) + len(value) + 2 for name, value in os.environ.items()),
        "hash_randomization": bool(sys.flags.hash_randomization),
        "distributions": [name for folder in site_packages for name in distributions(folder)],
        "native_libraries": native_libraries(),
    }


def native_libraries() -> list[dict[str, Any]]:
    """The shared objects that are loaded now, by path: {"path", "size_bytes", "build_id"}.

    `build_id` is the linker's hash of the content, None where the object has none. (Hashing torch's libraries here
    would take a second.)
    """
    # The name of a mapped file starts at a fixed column and may contain spaces.
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    mapped = {line[73:] for line in lines if line[73:74] == "/" and ".so" in line}
    libraries = []
    for path in sorted(mapped):
        with suppress(OSError):
            libraries.append({"path": path, "size_bytes": os.stat(path).st_size, "build_id": build_id(path)})
    return libraries


def build_id(path: str) -> str | None:
    """The GNU build ID of a 64-bit little-endian ELF file, as hex."""
    with open(path, "rb") as file:
        head = file.read(4096)
        if head[:6] != b"\x7fELF\x02\x01":
            return None
        table, entry_size, entries = struct.unpack_from("<32xQ14xHH", head)
        for index in range(entries):
            file.seek(table + index * entry_size)
            kind, offset, size = struct.unpack("<I4xQ16xQ16x", file.read(56))
            if kind == 4:  # PT_NOTE
                file.seek(offset)
                found = _build_id_in(file.read(min(size, 1 << 16)))
                if found:
                    return found
    return None


def _build_id_in(notes: bytes) -> str | None:
    position = 0
    while position + 12 <= len(notes):
        name_size, value_size, kind = struct.unpack_from("<III", notes, position)
        name = position + 12
        value = name + (name_size + 3 & ~3)
        if kind == 3 and notes[name : name + name_size] == b"GNU\0":
            return notes[value : value + value_size].hex()
        position = value + (value_size + 3 & ~3)
    return None


def distributions(folder: str) -> list[str]:
    """The packages of a site-packages folder as `name==version`, from the names of their metadata folders."""
    found = []
    for name in os.listdir(folder):
        if name.endswith(".dist-info"):
            project, _, version = name.removesuffix(".dist-info").rpartition("-")
            found.append(f"{project.replace('_', '-').lower()}=={version}")
    return sorted(found)


def recorded_variables() -> dict[str, str]:
    """The environment variables that a result may contain; no others, because they may be secrets."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(RECORDED_VARIABLES)}
