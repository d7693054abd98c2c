"""Environment variables that the user passes on to workers: `--env NAME=VALUE`, or `--env NAME` for its own value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from isobench import redaction
from isobench.errors import UsageError
from isobench.redaction import is_secret

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = {
    "OMP_NUM_THREADS": "--threads sets it",
    "MKL_NUM_THREADS": "--threads sets it",
    "OPENBLAS_NUM_THREADS": "--threads sets it",
    "NUMEXPR_NUM_THREADS": "--threads sets it",
    "TORCHINDUCTOR_CACHE_DIR": "isobench sets it",
    "TRITON_CACHE_DIR": "isobench sets it",
    "CUDA_DEVICE_ORDER": "isobench sets it",
}
_RESERVED_BEGINNINGS = {
    "ISOBENCH_": "isobench sets it",
    "MALLOC_": "--heap sets it",
    "PYTHON": "a worker's Python ignores it",
    "LD_": "it changes which libraries a runtime loads",
}


def parse(texts: Iterable[str]) -> dict[str, str]:
    """Variables by name; one without a value has the value that it has here.

    Raises:
        UsageError: a text isn't of that form, or the variable isn't set here, or isobench needs it for itself.
    """
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            if name not in os.environ:
                raise UsageError(f"--env {name}: {name} is not set", hint=f"Give its value: --env {name}=VALUE")
            value = os.environ[name]
        found[name] = value
    return checked(found)


def checked(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, if each may be passed on.

    Raises:
        UsageError: one has no valid name or value, or isobench needs it for itself.
    """
    for name, value in variables.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise UsageError(
                f"--env must be NAME=VALUE or NAME, got {name!r}", hint="For example: --env MODEL_WIDTH=512"
            )
        begins = next((why for start, why in _RESERVED_BEGINNINGS.items() if name.startswith(start)), "")
        reason = _RESERVED.get(name, begins)
        if reason:
            raise UsageError(f"--env {name} can't be passed on: {reason}")
    return dict(variables)


def recorded(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables as a Result has them: of those that are secret by their name or value, a hash only."""
    return {name: _hashed(value) if is_secret(name, value) else value for name, value in variables.items()}


def recorded_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """A script's arguments as a Result has them: of those that look like secrets, a hash only."""
    shown = redaction.words(arguments, mask="\0")
    return tuple(
        one.replace("\0", _hashed(given)) if "\0" in one else one for given, one in zip(arguments, shown, strict=True)
    )


def _hashed(value: str) -> str:
    from isobench.system import files

    return f"sha256:{files.sha256_of(value.encode(errors='surrogateescape'))[:12]}"


def unpassed(missing: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """A sentence on each variable that a script asked for in vain, although it is set here."""
    return [
        f"the script reads {name}, which is set here but not passed on to it: use --env {name}"
        for name in missing
        if name in os.environ and name not in variables
    ]
