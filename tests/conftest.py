"""What all tests begin with."""

from __future__ import annotations

import os
import signal

# A shell starts what it puts in the background with SIGINT ignored, and that is inherited: a program that a test
# interrupts would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What `jetway check --load` keeps would outlive the tests; those of the kept process ask it themselves.
os.environ.setdefault("JETWAY_KEEP", "0")
