"""Which files an import error has gone through: the frames of its traceback, never its words. Pure.

The words of an exception are whatever the file says that raises it, the names of others included. So only what Python
writes is read: the frames before the first exception's line. What follows may be its words, a second traceback too.
"""

from __future__ import annotations

import re

_HEADER = "Traceback"
_FRAME = re.compile(r'  File "(?P<path>[^"]+)", line \d+(?P<within>, in .+)?')
# Of a file that cannot be compiled there is no frame: its place is written in the same form, without a function.
_NOT_COMPILED = ("SyntaxError:", "IndentationError:", "TabError:")
# Of a name that a module does not have any more there is no frame of the module; Python writes its file behind.
_NOT_THERE = re.compile(r"ImportError: cannot import name '[^']+' from .*\((?P<path>[^()]+)\)")
_IMPORTS = ("    from ", "    import ")


def files_of(error: str) -> frozenset[str]:
    """Return the files that an error has gone through, as its traceback names them; none of one without frames."""
    lines = iter(error.splitlines())
    if not any(line.startswith(_HEADER) for line in lines):
        return frozenset()
    found: set[str] = set()
    uncompiled, source = None, ""
    for line in lines:
        if not line.startswith("  "):
            if line.startswith(_NOT_COMPILED) and uncompiled is not None:
                found.add(uncompiled)
            gone = _NOT_THERE.fullmatch(line)
            if gone is not None and source.startswith(_IMPORTS) and found:
                found.add(gone["path"])
            break
        frame = _FRAME.fullmatch(line)
        if frame is None:
            source = source or line
            continue
        uncompiled, source = None, ""
        if frame["within"]:
            found.add(frame["path"])
        else:
            uncompiled = frame["path"]
    return frozenset(found)
