"""Who caused something: a run, an upload, a change of a trigger. Pure.

A cause is a flat mapping of texts, in which only what is known stands:

    principal     who has proved to be it: an ARN, jwt:<issuer>:<subject>, webhook:<trigger>; jetway:<function>
    account       that S3 or EventBridge names, of an upload or an event
    source_ip     that an upload came from
    request_id    of the call, or of S3's request: it leads to the access log and to CloudTrail
    trigger       the trigger file and its version, as triggers/orders.yaml@<version>
    redriven_by   who sent a dead letter again, as their command says
    claimed       what whoever uploaded an object wrote into its metadata: nobody has checked it

What S3 tells of an upload is its account alone. Which role or user it was is in the bucket's access log and in
CloudTrail's data events, under the same request id.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

By = Mapping[str, str]
NOBODY: By = MappingProxyType({})  # where nothing is known

KNOWN = ("principal", "account", "source_ip", "request_id", "trigger", "redriven_by", "claimed")
CLAIM = "jetway-by"  # in an object's metadata: who put it, as they say
LONGEST = 400  # characters of one text

_WORDS = {
    "principal": "by {}",
    "account": "account {}",
    "source_ip": "from {}",
    "request_id": "request {}",
    "trigger": "{}",
    "redriven_by": "redriven by {}",
    "claimed": "claims to be {}",
}


def cause(**texts: object) -> dict[str, str]:
    """Return the cause with what is known of it: texts that are not empty, cut where nobody has bounded them."""
    found = {name: value for name in KNOWN if isinstance(value := texts.get(name), str) and value.strip()}
    return {name: value[:LONGEST] for name, value in found.items()}


def of_upload(detail: object) -> dict[str, str]:
    """Return what S3's event tells of who put or deleted an object.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

    Args:
        detail: of the event.
    """
    told = detail if isinstance(detail, Mapping) else {}
    return cause(
        account=told.get("requester"), source_ip=told.get("source-ip-address"), request_id=told.get("request-id")
    )


def claimed_in(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what an object's metadata says of who put it."""
    return cause(claimed=metadata.get(CLAIM))


def read_cause(value: object) -> dict[str, str]:
    """Return the cause that somebody has written down; nothing of what is none."""
    return cause(**{str(name): text for name, text in value.items()}) if isinstance(value, Mapping) else {}


def in_words(by: By) -> str:
    """Return a cause as one line; empty when nothing is known.

    >>> in_words({"trigger": "triggers/orders.yaml@3", "account": "111122223333", "source_ip": "192.0.2.1"})
    'account 111122223333, from 192.0.2.1, triggers/orders.yaml@3'
    """
    return ", ".join(_WORDS[name].format(by[name]) for name in KNOWN if name in by)


def note_of(by: By) -> str | None:
    """Return what the note of a run says of who caused it; None when nothing is known."""
    words = in_words(by)
    return f"Jetway: {words}" if words else None
