"""Ignores SIGTERM, starts a child that does so, too, and writes both pids to output_dir/pids."""

import os
import signal
import subprocess
import sys
import time

from harness import serve


def _execute(output_dir, **_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(os.path.join(output_dir, "pids"), "w") as file:
        file.write(f"{os.getpid()} {child.pid}\n")
    time.sleep(600)


if __name__ == "__main__":
    serve(_execute)
