"""The stack's resources against the template of its deployment: everything that can be asked about is asked about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.collect import kept_settings
from jetway_cli.doctor.collect import settings as own_settings
from jetway_cli.doctor.facts import AlarmSeen, Asked, FunctionSeen, PartSeen, QueueSeen
from jetway_cli.doctor.wanted import UNKNOWN, wanted
from jetway_cli.errors import error_code

if TYPE_CHECKING:
    from jetway_cli.doctor.asking import Desk, PendingCall
    from jetway_cli.doctor.collect.settings import ReadSettings
    from jetway_cli.doctor.facts import StackFacts, StackResource

READERS = {**own_settings.READERS, **kept_settings.READERS}
# How services say that there is no such thing.
GONE = frozenset(
    {"ResourceNotFoundException", "ResourceNotFound", "NoSuchEntity", "NotFoundException", "NotFound", "404"}
    | {"NoSuchBucket", "QueueDoesNotExist", "NonExistentQueue", "DashboardNotFoundError"}
)
# A policy in a template is one resource for all that it is attached to: each of these is looked at.
_ATTACHED_TO = {"AWS::SQS::QueuePolicy": "Queues", "AWS::SNS::TopicPolicy": "Topics"}
FUNCTION, QUEUE, ALARM = "AWS::Lambda::Function", "AWS::SQS::Queue", "AWS::CloudWatch::Alarm"
LOG_GROUP, ROUTE, API = "AWS::Logs::LogGroup", "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Api"
TOGETHER = (FUNCTION, QUEUE, ALARM, LOG_GROUP, ROUTE)


def template(desk: Desk, stack: StackFacts) -> Mapping[str, ReadSettings]:
    """Return the properties of each resource by the template of the stack's deployment.

    Raises:
        ClientError, BotoCoreError: CloudFormation does not say.
        ValueError, KeyError: the template has what is not known here.
    """
    found = desk.client("cloudformation").get_template(StackName=stack.name, TemplateStage="Processed")["TemplateBody"]
    return wanted(json.loads(found) if isinstance(found, str) else found, stack)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was looked at for other checks, too."""

    functions: Asked[tuple[FunctionSeen, ...]]
    queues: Asked[tuple[QueueSeen, ...]]
    alarms: Asked[tuple[AlarmSeen, ...]]


@dataclass(slots=True)
class Comparison:
    """Questions about all resources, begun at once."""

    desk: Desk
    stack: StackFacts
    begun: list[tuple[StackResource, ReadSettings, PendingCall[Any] | None]]
    code: Mapping[str, PendingCall[Any]]
    logs: PendingCall[Any]
    routes: PendingCall[Any]

    def answers(self, kept: Kept, until: float) -> tuple[PartSeen, ...]:
        """Return the answers.

        Args:
            until: the moment of `time.monotonic` up to which they are waited for.
        """
        known: Mapping[str, Asked[Any]] = {
            FUNCTION: _by_logical(kept.functions),
            QUEUE: _by_logical(kept.queues),
            ALARM: _mapped(kept.alarms, lambda one: (one.name, one.settings)),
            LOG_GROUP: self.logs.answer(until),
            ROUTE: self.routes.answer(until),
        }
        found = []
        with_policy = {name_of(one, its) for one, its, _ in self.begun if one.kind in _ATTACHED_TO}
        for resource, properties, question in self.begun:
            seen = _found(known[resource.kind], resource, properties) if question is None else question.answer(until)
            if resource.kind == API:
                seen = self._with_other_routes(seen, known[ROUTE])
            elif name_of(resource, properties) in with_policy:
                seen = _without_words_of_policies(seen)
            found.append(
                PartSeen(
                    resource.logical,
                    resource.kind,
                    name_of(resource, properties),
                    self._with_code(resource, properties, until),
                    seen,
                )
            )
        return tuple(found)

    def _with_other_routes(self, seen: Asked[Any], routes: Asked[Any]) -> Asked[Any]:
        """What an API lets in by routes that the template does not know."""
        if seen.value is None:
            return seen
        ours = {its["RouteKey"] for one, its, _ in self.begun if one.kind == ROUTE}
        others = sorted(
            f"{key} ({one['AuthorizationType']})" for key, one in (routes.value or {}).items() if key not in ours
        )
        return Asked({**seen.value, "OtherRoutes": Asked(others) if routes.known else routes})

    def _with_code(self, resource: StackResource, properties: ReadSettings, until: float) -> ReadSettings:
        """What a function's code is to be is known by the hash of what was uploaded."""
        if resource.logical not in self.code:
            return properties
        uploaded = self.code[resource.logical].answer(until).value or UNKNOWN
        return {**properties, "Code": uploaded, "Uploaded": properties.get("Code")}


def begin(desk: Desk, stack: StackFacts, properties: Mapping[str, ReadSettings]) -> Comparison:
    """Ask about every resource of the template.

    Args:
        properties: of each, by the template.
    """
    pairs = [
        pair
        for resource in stack.resources
        if resource.physical and resource.logical in properties
        for pair in _each(resource, properties[resource.logical])
    ]
    begun: list[tuple[StackResource, ReadSettings, PendingCall[Any] | None]] = []
    for resource, its in pairs:
        if resource.kind in READERS:
            action, _ = READERS[resource.kind]
            begun.append((resource, its, desk.begin(action, partial(_read, desk, resource, its, stack))))
        elif resource.kind in TOGETHER:
            begun.append((resource, its, None))
    code = {
        resource.logical: desk.begin("s3:GetObject", partial(own_settings.code_sha256, desk, its.get("Code") or {}))
        for resource, its in pairs
        if resource.kind == FUNCTION
    }
    names = [resource.physical for resource, _ in pairs if resource.kind == LOG_GROUP]
    apis = [resource.physical for resource, _ in pairs if resource.kind == "AWS::ApiGatewayV2::Api"]
    return Comparison(
        desk,
        stack,
        begun,
        code,
        desk.begin("logs:DescribeLogGroups", lambda: kept_settings.log_groups(desk, names)),
        desk.begin("apigateway:GET", lambda: kept_settings.routes(desk, apis)),
    )


def _each(resource: StackResource, properties: ReadSettings) -> Iterator[tuple[StackResource, ReadSettings]]:
    for_all = _ATTACHED_TO.get(resource.kind)
    if for_all is None:
        yield resource, properties
    else:
        yield from ((replace(resource, physical=str(one)), properties) for one in properties[for_all])


def _read(desk: Desk, resource: StackResource, properties: ReadSettings, stack: StackFacts) -> ReadSettings | None:
    from botocore.exceptions import ClientError

    _, reader = READERS[resource.kind]
    try:
        return reader(desk, resource, properties, stack)
    except ClientError as exc:
        if error_code(exc) in GONE:
            return None
        raise


def _without_words_of_policies(seen: Asked[Any]) -> Asked[Any]:
    """A policy that the template has is compared whole, as a part of its own."""
    if seen.value is None or "Denials" not in seen.value:
        return seen
    return Asked({name: one for name, one in seen.value.items() if name not in {"Denials", "Strangers"}})


def _by_logical(asked: Asked[Any]) -> Asked[Any]:
    return _mapped(asked, lambda one: (one.logical, one.settings))


def _mapped(asked: Asked[Any], pair: Any) -> Asked[Any]:
    if not asked.known:
        return asked
    found: Sequence[Any] = asked.value or ()
    return Asked(dict(map(pair, found)))


def _found(known: Asked[Any], resource: StackResource, properties: ReadSettings) -> Asked[Any]:
    """What was seen of one thing where all of a kind were looked at together."""
    if not known.known:
        return known
    key = {FUNCTION: resource.logical, QUEUE: resource.logical, ROUTE: properties.get("RouteKey")}
    return Asked((known.value or {}).get(key.get(resource.kind, resource.physical)))


def name_of(resource: StackResource, properties: ReadSettings) -> str:
    """Return what people call a resource."""
    if resource.kind == ROUTE:
        return str(properties["RouteKey"])
    if resource.kind in {QUEUE, "AWS::SQS::QueuePolicy"}:
        return resource.physical.rpartition("/")[2]
    return resource.physical.rpartition("|")[2]
