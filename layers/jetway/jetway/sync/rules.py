"""EventBridge rules of the stack's triggers, on every bus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.errors import TransientError
from jetway.sync.refusals import refusal
from jetway.triggers.rules import RuleSpec, json_text

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

_AT_ONCE = 4  # ListTargetsByRule has a rate limit of its own

Place = tuple[str, str]  # bus, rule


@dataclass(frozen=True, slots=True)
class Found:
    """A rule that is there."""

    pattern: Any
    enabled: bool
    description: str
    targets: tuple[Mapping[str, Any], ...]

    def is_as(self, spec: RuleSpec) -> bool:
        """Whether nothing about it has to be changed; a target that somebody added has to."""
        return (
            (self.enabled, self.description) == (spec.enabled, spec.description)
            and self.pattern == spec.pattern
            and _by_id(self.targets) == _by_id(spec.targets)
        )


@dataclass(slots=True)
class Rules:
    """The rules whose names begin with the stack's prefix; no other rule is ever touched.

    Attributes:
        buses: names of all buses.
        others: how many rules of other names there are, by bus.
        found: ours, by bus and name.
    """

    client: EventBridgeClient
    prefix: str
    buses: frozenset[str]
    others: Mapping[str, int]
    found: dict[Place, Found]

    @classmethod
    def load(cls, client: EventBridgeClient, prefix: str) -> Rules:
        """Look at every bus.

        Raises:
            ClientError, BotoCoreError: EventBridge is in trouble.
        """
        others: dict[str, int] = {}
        ours: dict[Place, Any] = {}
        for bus in _buses(client):
            others[bus] = 0
            for page in client.get_paginator("list_rules").paginate(EventBusName=bus):
                for rule in page["Rules"]:
                    if rule["Name"].startswith(prefix):
                        ours[bus, rule["Name"]] = rule
                    else:
                        others[bus] += 1
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            targets = list(pool.map(lambda place: _targets(client, place), ours))
        found = {
            place: Found(
                pattern=json.loads(rule.get("EventPattern") or "null"),
                enabled=rule["State"] == "ENABLED",
                description=rule.get("Description", ""),
                targets=of_rule,
            )
            for (place, rule), of_rule in zip(ours.items(), targets, strict=True)
        }
        return cls(client, prefix, frozenset(others), others, found)

    def put(self, spec: RuleSpec) -> str | None:
        """Make a rule what it should be; return what was done, or None when it was so.

        Raises:
            ResourceRefusedError: AWS refuses it for what it is.
            TransientError, ClientError, BotoCoreError: EventBridge is in trouble.
        """
        place = (spec.bus, spec.name)
        there = self.found.get(place)
        if there is not None and there.is_as(spec):
            return None
        try:
            self.client.put_rule(
                Name=spec.name,
                EventBusName=spec.bus,
                EventPattern=json_text(spec.pattern),
                State="ENABLED" if spec.enabled else "DISABLED",
                Description=spec.description,
            )
            wanted: Any = list(spec.targets)
            answer = self.client.put_targets(Rule=spec.name, EventBusName=spec.bus, Targets=wanted)
        except ClientError as exc:
            raise refusal(exc, f"rule {spec.name}") from exc
        if answer["FailedEntryCount"]:
            raise TransientError(f"EventBridge did not take the targets of {spec.name}: {answer['FailedEntries']}")
        extra = _by_id(there.targets).keys() - _by_id(spec.targets).keys() if there else ()
        if extra:
            self._remove_targets(place, sorted(extra))
        self.found[place] = Found(dict(spec.pattern), spec.enabled, spec.description, spec.targets)
        return "changed" if there else "created"

    def delete(self, place: Place) -> None:
        """Delete a rule of ours.

        Raises:
            TransientError, ClientError, BotoCoreError: EventBridge is in trouble.
        """
        bus, name = place
        if not name.startswith(self.prefix):
            raise ValueError(f"rule {name!r} is not ours.")
        if self.found[place].targets:
            self._remove_targets(place, sorted(_by_id(self.found[place].targets)))
        self.client.delete_rule(Name=name, EventBusName=bus)
        del self.found[place]

    def _remove_targets(self, place: Place, ids: list[str]) -> None:
        answer = self.client.remove_targets(Rule=place[1], EventBusName=place[0], Ids=ids)
        if answer["FailedEntryCount"]:
            raise TransientError(f"EventBridge did not remove targets of {place[1]}: {answer['FailedEntries']}")


def _buses(client: EventBridgeClient) -> list[str]:
    """Names of all buses. There is no paginator for them."""
    names: list[str] = []
    more: dict[str, Any] = {}
    while True:
        answer = client.list_event_buses(**more)
        names += [bus["Name"] for bus in answer["EventBuses"]]
        if not answer.get("NextToken"):
            return names
        more = {"NextToken": answer["NextToken"]}


def _targets(client: EventBridgeClient, place: Place) -> tuple[Mapping[str, Any], ...]:
    pages = client.get_paginator("list_targets_by_rule").paginate(Rule=place[1], EventBusName=place[0])
    return tuple(target for page in pages for target in page["Targets"])


def _by_id(targets: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    return {target["Id"]: _without_empty(target) for target in targets}


def _without_empty(value: Any) -> Any:
    """AWS gives back an empty InputPathsMap that nobody sent."""
    if isinstance(value, Mapping):
        kept = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, None)}
    return value
