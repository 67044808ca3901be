"""What all tests of the host share."""

from __future__ import annotations

import contextlib
import signal

# Whoever runs the tests may have been told to ignore a hang-up (nohup), which children inherit.
with contextlib.suppress(ValueError):  # not in the main thread
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
