"""Settings for all tests."""

from __future__ import annotations

import signal

# A process that was started in the background (by a CI system, say) ignores Ctrl-C, and so do its children: programs
# that tests interrupt would wait forever.
signal.signal(signal.SIGINT, signal.default_int_handler)
