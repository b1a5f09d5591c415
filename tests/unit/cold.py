"""Functions as they start: with no parts of an invocation before."""

from __future__ import annotations

import sys


def forget_wired() -> None:
    """Let every function start cold."""
    for name, module in list(sys.modules.items()):
        if name.startswith("jetway.wiring.") and hasattr(module, "wired"):
            module.wired.cache_clear()
