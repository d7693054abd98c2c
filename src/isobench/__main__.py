"""`isobench` and `python -m isobench`."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from isobench.cli.main import main as run


def main() -> NoReturn:
    """Run the command line and end this process at once: to take the interpreter down would cost some 50 ms."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's end of a job is as good as Ctrl-C
    code: object = 0
    try:
        run()
    except SystemExit as leaving:
        code = leaving.code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads any more
        pass
    os._exit(code if isinstance(code, int) else 1 if code else 0)


if __name__ == "__main__":
    main()
