"""What isobench's `config.toml` says, in /etc and in the user's own folder; a variable goes before both."""

from __future__ import annotations

import os
from pathlib import Path

from isobench.errors import UsageError


def files() -> list[Path]:
    """Where the configuration may lie, the weakest first; rattler reads its own keys from the same files."""
    # Not pathlib's, which raises where nobody knows of a home.
    own = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))  # noqa: PTH111
    return [Path("/etc/isobench/config.toml"), own / "isobench" / "config.toml"]


def value(key: str, variable: str) -> tuple[str, str]:
    """The value of `key`, and what says so: the `variable`, or a file; two empty strings where nothing does.

    Raises:
        UsageError: a file can't be read.
    """
    if os.environ.get(variable):
        return os.environ[variable], variable
    found = ("", "")
    for file in files():
        if file.is_file():
            import tomllib

            try:
                said = tomllib.loads(file.read_text(encoding="utf-8")).get(key, "")
            except (OSError, ValueError) as error:
                raise UsageError(f"{file} can't be read: {error}", hint="mend it, or take it away") from None
            found = (str(said), str(file)) if said else found
    return found
