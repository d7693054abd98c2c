"""isobench's `config.toml`, in /etc and in the user's own folder; an environment variable overrides both."""

from __future__ import annotations

import os
from pathlib import Path

from isobench.errors import UsageError


def files() -> list[Path]:
    """Where the configuration may lie, the last overrides the first; rattler reads its own keys from the same files."""
    # Not Path.home(), which raises if the user has none.
    own = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))  # noqa: PTH111
    return [Path("/etc/isobench/config.toml"), own / "isobench" / "config.toml"]


def value(key: str, variable: str) -> tuple[str, str]:
    """The value of `key`, and where it is set: the `variable`, or a file; two empty strings if it isn't set.

    Raises:
        UsageError: a file can't be read.
    """
    if os.environ.get(variable):
        return os.environ[variable], variable
    found = ("", "")
    for file in files():
        if file.is_file():
            from isobench.system import reading

            try:
                found_here = reading.read_toml(file).get(key, "")
            except (OSError, ValueError) as error:
                raise UsageError(f"{file} can't be read: {error}", hint="Fix or delete it.") from None
            found = (str(found_here), str(file)) if found_here else found
    return found
