"""Retry: which Cases that have a Result already are measured again."""

from __future__ import annotations

from enum import StrEnum

from isobench.failures import INFRASTRUCTURE, Ending


class Retry(StrEnum):
    """Which Cases are measured again, by what became of them."""

    NONE = "none"
    """None of them."""
    INFRASTRUCTURE = "infrastructure"
    """Those that failed because of the machine or the network (`failures.INFRASTRUCTURE`)."""
    FAILED = "failed"
    """All that failed."""
    ALL = "all"
    """Measured ones, too."""

    def runs_again(self, kind: Ending | None) -> bool:
        """Is a Case measured again whose newest Result failed with `kind` (None: it was measured)?"""
        if self is Retry.ALL:
            return True
        if kind is None or self is Retry.NONE:
            return False
        return self is Retry.FAILED or kind in INFRASTRUCTURE
