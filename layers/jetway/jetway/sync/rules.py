"""EventBridge rules of the stack's triggers, on every bus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from jetway.errors import TransientError
from jetway.sync.aws_errors import ResourceRefusedError, is_missing, may_be_done, refusal
from jetway.triggers.resources import RuleSpec, json_text

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

_AT_ONCE = 4  # ListTargetsByRule has a rate limit of its own

RulePlace = tuple[str, str]  # bus, rule


@dataclass(frozen=True, slots=True)
class ExistingRule:
    """A rule that is there.

    Attributes:
        state: as EventBridge says it.
        added: what a rule of ours has not, and PutRule takes away: a schedule, a role.
    """

    pattern: Any
    state: str
    description: str
    targets: tuple[Mapping[str, Any], ...]
    added: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: RuleSpec) -> ExistingRule:
        """Return what a rule will be."""
        return cls(dict(spec.pattern), "ENABLED" if spec.enabled else "DISABLED", spec.description, spec.targets)

    def is_as(self, wanted: ExistingRule) -> bool:
        """Whether nothing about it has to be changed; a target that somebody added has to."""
        return replace(self, targets=()) == replace(wanted, targets=()) and _by_id(self.targets) == _by_id(
            wanted.targets
        )


@dataclass(slots=True)
class RuleSet:
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
    found: dict[RulePlace, ExistingRule]

    @classmethod
    def load(cls, client: EventBridgeClient, prefix: str) -> RuleSet:
        """Look at every bus.

        Raises:
            ClientError, BotoCoreError: EventBridge is in trouble.
        """
        others: dict[str, int] = {}
        ours: dict[RulePlace, Any] = {}
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
            place: ExistingRule(
                pattern=json.loads(rule.get("EventPattern") or "null"),
                state=rule["State"],
                description=rule.get("Description", ""),
                targets=of_rule,
                added=tuple(rule[name] for name in ("ScheduleExpression", "RoleArn") if rule.get(name)),
            )
            for (place, rule), of_rule in zip(ours.items(), targets, strict=True)
            if of_rule is not None
        }
        return cls(client, prefix, frozenset(others), others, found)

    def put(self, spec: RuleSpec) -> str | None:
        """Make a rule what it should be; return what was done, or None when it was so.

        A rule and its targets are two calls. When the second one is refused, the first is taken back: the new pattern
        with the old target would start the old DAG with events that are not its own.

        Raises:
            ResourceRefusedError: AWS refuses it for what it is.
            TransientError, ClientError, BotoCoreError: EventBridge is in trouble; the rule may be half of each.
        """
        place, wanted = (spec.bus, spec.name), ExistingRule.of(spec)
        there = self.found.get(place)
        if self.stands(spec):
            return None
        self._put_rule(place, replace(wanted, targets=there.targets if there else ()))
        try:
            # First, or there may be no room for ours.
            self._remove_targets(place, self._ids(place) - _by_id(wanted.targets).keys())
            self._put_targets(place, wanted)
        except (ResourceRefusedError, TransientError, ClientError) as exc:
            if there is not None and there.pattern is not None and not may_be_done(exc):
                self._put_rule(place, replace(there, targets=self.found[place].targets, added=()))
            raise
        return "changed" if there else "created"

    def stands(self, spec: RuleSpec) -> bool:
        """Whether a rule is there and as it should be."""
        there = self.found.get((spec.bus, spec.name))
        return there is not None and there.is_as(ExistingRule.of(spec))

    def delete(self, place: RulePlace) -> None:
        """Delete a rule of ours.

        Raises:
            TransientError, ClientError, BotoCoreError: EventBridge is in trouble.
        """
        bus, name = place
        if not name.startswith(self.prefix):
            raise ValueError(f"rule {name!r} does not belong to this stack.")
        try:
            self._remove_targets(place, self._ids(place))
            self.client.delete_rule(Name=name, EventBusName=bus)
        except ClientError as exc:
            if not is_missing(exc):
                raise
        del self.found[place]

    def _put_rule(self, place: RulePlace, rule: ExistingRule) -> None:
        state: Any = rule.state
        try:
            self.client.put_rule(
                Name=place[1],
                EventBusName=place[0],
                EventPattern=json_text(rule.pattern),
                State=state,
                Description=rule.description,
            )
        except ClientError as exc:
            raise refusal(exc, f"rule {place[1]}") from exc
        self.found[place] = rule

    def _put_targets(self, place: RulePlace, wanted: ExistingRule) -> None:
        targets: Any = list(wanted.targets)
        try:
            answer = self.client.put_targets(Rule=place[1], EventBusName=place[0], Targets=targets)
        except ClientError as exc:
            raise refusal(exc, f"rule {place[1]}") from exc
        if answer["FailedEntryCount"]:
            raise TransientError(f"EventBridge did not accept the targets of {place[1]}: {answer['FailedEntries']}")
        self.found[place] = wanted

    def _remove_targets(self, place: RulePlace, ids: Set[str]) -> None:
        if not ids:
            return
        answer = self.client.remove_targets(Rule=place[1], EventBusName=place[0], Ids=sorted(ids))
        if answer["FailedEntryCount"]:
            raise TransientError(f"EventBridge did not remove targets of {place[1]}: {answer['FailedEntries']}")
        there = self.found[place]
        left = tuple(target for target in there.targets if target["Id"] not in ids)
        self.found[place] = replace(there, targets=left)

    def _ids(self, place: RulePlace) -> Set[str]:
        return _by_id(self.found[place].targets).keys()


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


def _targets(client: EventBridgeClient, place: RulePlace) -> tuple[Mapping[str, Any], ...] | None:
    """Targets of a rule; None when it was deleted since it was listed."""
    pages = client.get_paginator("list_targets_by_rule").paginate(Rule=place[1], EventBusName=place[0])
    try:
        return tuple(target for page in pages for target in page["Targets"])
    except ClientError as exc:
        if is_missing(exc):
            return None
        raise


def _by_id(targets: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    return {target["Id"]: _without_empty(target) for target in targets}


def _without_empty(value: Any) -> Any:
    """AWS gives back an empty InputPathsMap that nobody sent."""
    if isinstance(value, Mapping):
        kept = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, None)}
    return value
