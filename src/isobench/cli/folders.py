"""Folders of results that users name: also a sweep's folder, or its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class _Results(click.Path):
    """A folder of results, or a sweep: by its folder, its name, or the beginning of its name."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False, exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from isobench.errors import UsageError
        from isobench.sweeps.folder import SweepFolder, results_in
        from isobench.system import reading

        if not reading.exists(value):
            try:
                return SweepFolder.find(value).results
            except UsageError as error:
                self.fail(f"{value} is neither a folder of results nor a sweep: {error.message}", param, ctx)
        return results_in(Path(str(super().convert(value, param, ctx))))


RESULTS = _Results()
"""The type of an option or argument that names a folder of results."""
