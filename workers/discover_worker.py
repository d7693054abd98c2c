"""Lists the models that a script calls; runs in the script's environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import observe
from harness import serve


def _execute(script: str, script_args: Sequence[str] = (), max_depth: int = 0, seed: int = 0) -> dict[str, Any]:
    observation = observe.run_script(script, script_args, seed, max_depth)
    return {"models": [model.entry() for model in observation.models]}


if __name__ == "__main__":
    serve(_execute)
