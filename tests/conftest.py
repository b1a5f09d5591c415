"""What all tests begin with."""

from __future__ import annotations

import signal

# A shell starts what it puts in the background with SIGINT ignored, and that is inherited: a program that a test
# interrupts would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
