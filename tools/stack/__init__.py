"""The local stack: the emulator with Jetway deployed to it. `python -m tools.stack up` starts it."""
