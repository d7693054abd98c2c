"""The environment variables of a worker: an allow-list of the user's own, and isobench's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from isobench import paths
from isobench.environments import quiet, store

if TYPE_CHECKING:
    from isobench.environments import Environment

ALLOWED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "CC",
    "CXX",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_DATASETS_CACHE",
    "TRANSFORMERS_OFFLINE",
    "TORCH_HOME",
    "CUDA_VISIBLE_DEVICES",
)
"""The user's variables that a worker sees: no PYTHONPATH, no LD_LIBRARY_PATH, no tokens."""

# glibc returns memory to the kernel and requests it again in the middle of a measurement: page faults made a
# convolutional net 57 % slower in torch. Every worker gets the same steady heap instead: nothing is returned, and
# large tensors come from the heap, too. (With only a trim threshold, glibc would map each block of 128 KiB or more
# again at each allocation: ResNet-18 then takes 18,000 faults an iteration, and twice the time.)
STEADY_HEAP = {"MALLOC_TOP_PAD_": str(128 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_MMAP_MAX_": "0"}

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def of_worker(environment: Environment, *, threads: int, heap: str = "steady") -> dict[str, str]:
    """All environment variables of a worker."""
    allowed = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        if "@" not in os.environ.get(name, "@"):  # one with a password is a secret
            allowed[name] = os.environ[name]
    compiled = paths.cache_of("torch-compiled") / environment.folder.name
    return {
        **allowed,
        **quiet.variables(),
        **store.activated(environment.activation(), allowed.get("PATH", "")),
        **(STEADY_HEAP if heap == "steady" else {}),
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "TORCHINDUCTOR_CACHE_DIR": str(compiled / "inductor"),
        "TRITON_CACHE_DIR": str(compiled / "triton"),
        "ISOBENCH_CACHE": str(paths.cache_of("tensorrt")),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as NVML numbers them, so that "the first GPU" is the same everywhere
    }
