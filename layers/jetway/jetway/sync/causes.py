"""Who put the versions of trigger files, as far as the messages that made a run of sync_triggers tell. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from jetway.events.principals import By, of_upload

# By key and version id.
VersionCauses = Mapping[tuple[str, str | None], By]
NO_CAUSES: VersionCauses = MappingProxyType({})


def causes_in(bodies: Iterable[str]) -> VersionCauses:
    """Return who put which version; of messages that are no events of S3 nothing is told."""
    found: dict[tuple[str, str | None], By] = {}
    for body in bodies:
        try:
            detail = json.loads(body)["detail"]
            put = detail["object"]
            by = of_upload(detail)
            if by:
                found[str(put["key"]), put.get("version-id")] = by
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found
