"""The ISOBENCH_HOME whose environments all tests share: they are installed once, and stay in build/."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).parents[2] / "build" / "test-home"


def share(home: Path, *names: str) -> None:
    """Link the environments of the shared home into a test's own, and the folders of these names."""
    for name in ("environments", *names):
        (SHARED / name).mkdir(parents=True, exist_ok=True)
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(SHARED / name)
