"""`isobench` and `python -m isobench`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end this process at once: finalizing the interpreter would take some 50 ms."""
    gc.set_threshold(50_000)  # imports allocate much and free little: to look for garbage in between takes 2 ms
    from isobench.cli.main import main as run

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # batch systems end jobs with it: like Ctrl-C
    code: object = 0
    try:
        run()
    except SystemExit as leaving:
        code = leaving.code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # the reader is gone
        pass
    os._exit(code if isinstance(code, int) else 1 if code else 0)


if __name__ == "__main__":
    main()
