"""What holds for all tests."""

from __future__ import annotations

import signal

# Started in the background (by a CI system, say), a process ignores Ctrl-C, and so does all that it starts: programs
# that are to be interrupted by tests would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
