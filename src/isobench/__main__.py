"""`isobench` and `python -m isobench`."""

# First of all: to import the rest takes most of the time until isobench does something.
from isobench import interrupts

interrupts.end_at_once()

import gc  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from typing import NoReturn  # noqa: E402


def main() -> NoReturn:
    """Run the command line and end this process at once: finalizing the interpreter would take some 50 ms."""
    gc.set_threshold(50_000)  # imports allocate much and free little: to look for garbage in between takes 2 ms
    from isobench import streams

    streams.install()
    from isobench.system import own_process

    own_process.hide_secrets()
    from isobench.cli.main import main as run

    code: object = 0
    try:
        interrupts.interrupt()
        run()
    except SystemExit as leaving:
        code = leaving.code
    except KeyboardInterrupt:  # while another error was being reported
        code = interrupts.exit_code()
    interrupts.end_at_once()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


if __name__ == "__main__":
    main()
