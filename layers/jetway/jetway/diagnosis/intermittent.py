"""Import errors that come and go: a service that is read when a file is loaded, a time limit under load, a zip.

Airflow 3 writes the errors of packed DAGs and clears them half a minute later, so that one look finds them and the
next does not. What comes and goes by itself is nobody's fault who has changed something meanwhile: such an error is
blamed on an update only when it has stayed for several looks, and never once it was gone in between. Pure functions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetway.airflow import ImportProblem

LOOKS = 3  # that an error must stay for
KEPT = timedelta(hours=24)  # that an error of the world outside is known after it was seen last
_GONE = -1

_KIND = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)
_FRAME = re.compile(r'^ *File "([^"]+)", line \d+, in (\S+)', re.MULTILINE)
# The same at every parsing, as long as nobody changes anything.
_STAYS = frozenset(
    {
        *("ModuleNotFoundError", "ImportError", "SyntaxError", "IndentationError", "TabError", "NameError"),
        *("AttributeError", "TypeError"),
    }
)
_WORLD = re.compile(r"Time(?:d)?out|Connect|Network|HTTP|URLError|gaierror|SSL|Proxy|Throttl|ClientError|Operational")


def owner_of(path: str) -> str:
    """The file of the dags folder that a path of an import error is in: of a module in a zip the zip."""
    zipped, slash, _ = path.partition(".zip/")
    return f"{zipped}.zip" if slash else path


def may_pass(error: ImportProblem) -> bool:
    """Whether an error may be gone at the next look though nobody has changed anything."""
    return owner_of(error.path) != error.path or _kind(error) not in _STAYS


def sighted(before: Mapping[str, int], new: Sequence[ImportProblem]) -> dict[str, int]:
    """For how many looks each error has stayed that may pass; for good less than nothing when it was gone once.

    Args:
        before: what this function has returned at the look before.
        new: the errors of this look that were not there before the change.
    """
    there = {_identity(error) for error in new if may_pass(error)}
    after = {name: count if name in there else _GONE for name, count in before.items()}
    for name in there:
        count = after.get(name, 0)
        after[name] = count if count == _GONE else count + 1
    return after


def lasting(new: Sequence[ImportProblem], counts: Mapping[str, int]) -> list[ImportProblem]:
    """Those errors that somebody can be blamed for: they do not pass, or have stayed."""
    return [error for error in new if not may_pass(error) or counts.get(_identity(error), 0) >= LOOKS]


def is_open(new: Sequence[ImportProblem], counts: Mapping[str, int]) -> bool:
    """Whether the next looks will tell more."""
    return any(may_pass(error) and 0 < counts.get(_identity(error), 0) < LOOKS for error in new)


def remembered(known: Mapping[str, str], errors: Sequence[ImportProblem], now: datetime) -> dict[str, str]:
    """What is to be known of errors of the world outside and of zips, also while they are not there.

    Args:
        known: what is remembered of earlier looks; other entries than these are left out.
        errors: of this look.
    """
    kept = {name: at for name, at in known.items() if "\n" in name and now - datetime.fromisoformat(at) < KEPT}
    return kept | {_identity(error): now.isoformat() for error in errors if _is_outside(error)}


def is_remembered(error: ImportProblem, known: Mapping[str, str]) -> bool:
    """Whether an error is one that has come and gone before."""
    return _identity(error) in known


def _is_outside(error: ImportProblem) -> bool:
    return owner_of(error.path) != error.path or _WORLD.search(_kind(error)) is not None


def _kind(error: ImportProblem) -> str:
    """The type of the last exception: what stands at the left, after the last frame."""
    last = error.error.rpartition("Traceback (most recent call last):")[2]
    found = [match[1] for match in _KIND.finditer(last)]
    return found[-1].rpartition(".")[2] if found else ""


def _identity(error: ImportProblem) -> str:
    """An error by more than its words, which may name a moment: its file, its type, and where it is raised."""
    kind = _kind(error)
    # A time limit strikes anywhere.
    frames = [] if "imeout" in kind else _FRAME.findall(error.error)
    return f"{error.path}\n{hashlib.sha256(repr((kind, frames)).encode()).hexdigest()[:16]}"
