"""Secrets in addresses: user names and passwords before the `@`, and conda's tokens (`/t/TOKEN/`)."""

from __future__ import annotations

import re

_SECRETS = re.compile(r"(?<=://)[^/\s@\"'`]+(?=@)|(?<=/t/)[^/\s\"'`]+(?=/)")


def redacted(text: str) -> str:
    """The text with each secret replaced by `***`."""
    return _SECRETS.sub("***", text)


def has_secret(address: str) -> bool:
    """Whether an address carries a password or a token."""
    return _SECRETS.search(address) is not None
