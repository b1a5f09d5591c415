"""Chains: the event of one run starts the next one. Each run carries its place, so that a loop ends. Pure functions.

A run that an event of the world starts is the first. Jetway's events on a run say its place in `detail.chain`, and what
such an event starts is one further on. What passes through something else on its way (a file that a DAG writes, an
event that it sends, a call that it makes) begins anew: of that Jetway knows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jetway.dispatch.run import Dispatch, plan
from jetway.errors import LoopError
from jetway.events.outgoing import SOURCE

if TYPE_CHECKING:
    from jetway.dispatch.run import DispatchMessage

OVER = f"{LoopError.reason}: it reports that a chain of runs was stopped, and would continue that chain"


def plan_in_chain(message: DispatchMessage, longest: int, *, major: Callable[[], int]) -> Dispatch:
    """Say what run a message asks for, unless its chain is too long.

    Args:
        longest: so many runs in a row may each be started by the event of the one before.
        major: as for `plan`.

    Raises:
        LoopError: it would be one more.
        InvalidRequestError, InvalidConfError, TransientError: as `plan`.
    """
    event = message.event
    if is_over(event.facts):
        return Dispatch(message.trigger, event, None, skipped_because=OVER)
    if event.chain >= longest:
        raise too_long(event.chain, longest, message.trigger.name)
    return plan(message, major=major)


def is_over(facts: Mapping[str, Any]) -> bool:
    """Whether an event tells of a chain that was stopped: what it starts would go on with it, without an end.

    Where a run passed through a DAG that Jetway does not start (`unchained`), the chain that it tells is a short one.
    """
    detail = facts.get("detail")
    reason = detail.get("reason") if isinstance(detail, Mapping) else None
    is_letter = facts.get("source") == SOURCE and facts.get("detail-type") == "EventDeadLettered"
    return is_letter and reason == LoopError.reason


def is_stopped(because: str | None) -> bool:
    """Whether a row says that its event was refused or skipped for the length of its chain."""
    return (because or "").startswith(f"{LoopError.reason}: ")


def too_long(chain: int, longest: int, trigger: str) -> LoopError:
    """Return why an event is refused that would start one run too many."""
    return LoopError(
        f"{chain} runs in a row were each started by the event of the previous one, and trigger {trigger!r} "
        f"would start another; at most {longest} are allowed. The runs probably start one another endlessly: "
        "check the event patterns of the trigger files. If the chain is intended, raise the parameter "
        "MaxChainedRuns, and redrive."
    )
