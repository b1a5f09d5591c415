"""POST /triggers/{name} with an Idempotency-Key, in the world of events: its own code, and a trigger that changes."""

# ruff: noqa: N803 - arguments have the names that AWS gives them

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from jetway.http.idempotency_keys import IdempotencyKeys
from jetway.http.problems import ProblemError
from jetway.http.routes.run_start import start
from jetway.http.run_requests import HttpCall, key_use
from jetway.http.webhooks import Webhook, read_delivery
from tests.unit.explorer.event_tables import refusal
from tests.unit.explorer.event_world import NOT_NOW, EventWorld, in_turn

Item = dict[str, Any]


class Keys:
    """Stands in for boto3's client of DynamoDB: the table of keys."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}

    def put_item(
        self,
        *,
        TableName: str,
        Item: Item,
        ConditionExpression: str,
        ExpressionAttributeNames: Mapping[str, str],
        ExpressionAttributeValues: Mapping[str, Any],
        ReturnValues: str,
    ) -> dict[str, Any]:
        before = self.items.get(Item["id"]["S"], {})
        if not _holds(ConditionExpression, before, ExpressionAttributeNames, ExpressionAttributeValues):
            raise refusal("PutItem", "ConditionalCheckFailedException")
        self.items[Item["id"]["S"]] = copy.deepcopy(Item)
        assert ReturnValues == "ALL_OLD"
        return {"Attributes": before} if before else {}


def _holds(text: str, item: Item, names: Mapping[str, str], values: Mapping[str, Any]) -> bool:
    """Read a condition of OR, AND and brackets, as far as it goes here."""
    for word, all_or_any in ((" OR ", any), (" AND ", all)):
        parts = _split(text, word)
        if len(parts) > 1:
            return all_or_any(_holds(part, item, names, values) for part in parts)
    if text.startswith("("):
        return _holds(text[1:-1], item, names, values)
    if found := re.fullmatch(r"attribute_not_exists\((\w+)\)", text):
        return found[1] not in item
    compared = re.fullmatch(r"(#?\w+) (=|<) (:\w+)", text)
    assert compared is not None, text
    there, value = item.get(names.get(compared[1], compared[1])), values[compared[3]]
    if there is None:
        return False
    return there == value if compared[2] == "=" else int(there["N"]) < int(value["N"])


def _split(text: str, word: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and text.startswith(word, place):
            parts.append(text[start:place])
            start = place + len(word)
    return [*parts, text[start:]]


class Calls(EventWorld):
    """Calls with one key for the trigger `hook`, whose file changes from DAG etl to DAG other."""

    def __init__(self, transport: str = "rest") -> None:
        super().__init__(transport)
        self.keys = Keys()
        self.dag = "etl"
        self.answers: list[tuple[str, str, int]] = []
        self._requests = 0
        self.actors: Mapping[str, Callable[[], object]] = {
            "post": partial(self.post, "a"),
            "post again": partial(self.post, "a"),
            "post another body": partial(self.post, "b"),
            "changed": self.changed,
            "changed and posted": in_turn(self.changed, partial(self.post, "a")),
            "dispatch": self.dispatch,
            "posted and dispatched": in_turn(partial(self.post, "a"), self.dispatch),
        }

    def changed(self) -> None:
        self.dag = "other"

    def post(self, body: str) -> None:
        """One call, as the route serves it."""
        self._requests += 1
        key = "k"
        call = HttpCall(f"request-{self._requests}", "me", json.dumps({"body": body}).encode(), key, self.now)
        webhook = Webhook("hook", self.dag, "iam", None, {"on": {"http": {"auth": "iam"}}, "dag": self.dag})
        identity = ("call", key, "me")
        run = read_delivery(webhook, identity, call.body)
        use = key_use(call, "hook", identity, made_by={"dag": webhook.dag, "conf": webhook.conf})
        reach = SimpleNamespace(require=lambda _what, _dag: None)
        try:
            answer = start(self._asked(), run, call, reach, key=use, webhook=webhook)  # type: ignore[arg-type]
            status = answer.status_code
        except ProblemError as exc:
            status = exc.problem.status.value
        except NOT_NOW:
            status = 503
        self.answers.append((body, webhook.dag, status))

    def judge(self) -> list[str]:
        """One key is one request: of one body and one DAG, with one run; what was accepted has it."""
        broken = [] if self.rest() else ["something is never done."]
        accepted = {(body, dag) for body, dag, status in self.answers if status == 202}
        if len(accepted) > 1:
            broken.append(f"6: one key was accepted for {sorted(accepted)}.")
        runs = Counter(run.dag_id for run in self.airflow.runs.values())
        if sum(runs.values()) > 1 or (accepted and not runs):
            broken.append(f"6: one key was accepted {len(accepted)} times, and has runs {dict(runs)}.")
        return broken + self.trouble

    def _asked(self) -> Any:
        services = SimpleNamespace(
            idempotency_keys=IdempotencyKeys(self.street.client(self.keys, "keys"), "keys", clock=self._seconds),
            sqs=self.street.client(self.sqs, "sqs"),
            settings=SimpleNamespace(dispatch_queue_url="dispatch.fifo", transport=self.faulty.transport),
            ledger=self.ledger(),
            airflow=self.client(),
            forget=lambda: None,
        )
        return SimpleNamespace(
            services=services,
            header=lambda _name: None,
            in_time=lambda work, **_bounds: work(),
            seconds_left=lambda: 29.0,
        )
