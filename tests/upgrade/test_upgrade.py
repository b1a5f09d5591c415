"""The version before is deployed and works; this one is deployed over it, and the version before over this one again.

Each time every queue has messages, most of them twice, every table has rows, and triggers are in force. Nothing that
holds data is replaced, and what was left is handled once by the version that finds it: runs are counted in Airflow.
About half an hour; part of `make test-upgrade` only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.upgrade.site import LANDING, LETTERS, LONGEST, WORK, Site, dag_file, until
from tools.release import upgrade
from tools.release.upgrade import check_out, losses, previous
from tools.stack import stack as local_stack
from tools.stack.calls import list_runs, wait_for
from tools.stack.deploy import STACK_NAME
from tools.venvs import HOME, ROOT


@pytest.fixture(scope="module")
def before() -> Path:
    """A checkout of the version before."""
    return check_out(previous(), HOME / "upgrade")


@pytest.fixture(scope="module")
def site(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The version before, deployed and at work."""
    os.environ["JETWAY_STATE"] = str(HOME / "test-upgrade")
    local_stack.down()
    try:
        made = Site(before, tmp_path_factory.mktemp("dags"))
        made.set_up()
        yield made
    finally:
        local_stack.down()


def test_nothing_that_holds_data_would_be_replaced(before: Path) -> None:
    """By what CloudFormation says of each property, whatever the emulator does."""
    assert losses(before, ROOT) == []
    assert losses(ROOT, before) == []


def test_this_version_goes_on_where_the_one_before_stopped(site: Site) -> None:
    go_over(site, ROOT, "up")
    assert '"format":1' in told_rule(site), "triggers send the messages of this version"


def test_the_version_before_goes_on_where_this_one_stopped(site: Site, before: Path) -> None:
    go_over(site, before, "back")


def go_over(site: Site, tree: Path, mark: str) -> None:
    """Leave work everywhere, deploy the other version, and see that all of it is done, once."""
    leave_done_and_waiting(site, mark)
    with site.paused():
        leave_in_queues(site, mark)
        assert not [queue for queue, count in site.counts(*WORK, *LETTERS).items() if not count]
        left, rows = site.counts(*WORK, *LETTERS), site.rows()
        assert not [table for table, keys in rows.items() if not keys and table not in SHORT_LIVED]
        kept = upgrade.kept(site.client("cloudformation"), STACK_NAME)
        changes = site.cross(tree)
        assert [one for one in changes if one["Action"] == "Remove" or one.get("Replacement", "False") != "False"] == []
        assert kept.items() <= upgrade.kept(site.client("cloudformation"), STACK_NAME).items()
        assert {queue: count for queue, count in site.counts(*left).items() if count < left[queue]} == {}
        assert {table: lost for table, keys in site.rows().items() if (lost := rows[table] - keys)} == {}
    go_on(site, mark)
    settled(site, mark)


SHORT_LIVED = {"WebhookReplays"}  # digests of signatures, for some minutes


def leave_done_and_waiting(site: Site, mark: str) -> None:
    """What this version does to an end, begins, or puts aside."""
    site.land(f"in/{mark}-done")
    site.wait_for_runs("hello_jetway", {("landed", f"in/{mark}-done")})
    for number in (1, 2):
        site.land(f"bulk/{mark}-{number}")
    until(lambda: site.open_batch() == 2, "two events are in an open batch")
    call_for_later(site, mark)
    until(lambda: site.counts("WaitingQueue")["WaitingQueue"] > 0, "the call for a DAG that is not there waits")
    site.pause_dag("resting", paused=True)
    site.tell("Strict", f"{mark}-letter")
    until(
        lambda: site.counts("DispatchDeadLetters")["DispatchDeadLetters"] > 0, "the event of a paused DAG is given up"
    )


def call_for_later(site: Site, mark: str) -> str:
    return site.call(f"later_{mark}", key=mark, conf={"way": "call", "what": mark})


def leave_in_queues(site: Site, mark: str) -> None:
    """What nobody has taken yet; messages of the dispatch queue and the collect queue are there twice."""
    site.land(f"in/{mark}-waits")
    site.drop(f"data/hello_jetway/{mark}.csv", b"1")
    site.tell("Told", f"{mark}-waits")
    site.call("hello_jetway", key=f"{mark}-called", dag_run_id=f"{mark}-called", conf={"way": "call", "what": mark})
    site.land(f"bulk/{mark}-3")
    site.drop(f"dags/fresh_{mark}.py", dag_file(f"fresh_{mark}"))
    fresh = f"dag: fresh_{mark}\non: {{event: {{source: [acme.upgrade], detail-type: [Fresh-{mark}]}}}}\n"
    site.drop(f"triggers/fresh-{mark}.yaml", f"{fresh}conf: {{way: fresh, what: '{{{{ detail.what }}}}'}}\n".encode())
    until(lambda: site.counts("DispatchQueue")["DispatchQueue"] >= 4, "the dispatch queue has what was sent")
    until(lambda: all(site.counts(*WORK).values()) and bool(site.peek("CollectQueue")), "every queue has something")
    sqs = site.client("sqs")
    for number, message in enumerate(site.peek("DispatchQueue")):
        sqs.send_message(
            QueueUrl=site.id_of("DispatchQueue"),
            MessageBody=message["Body"],
            MessageGroupId=message["Attributes"]["MessageGroupId"],
            MessageDeduplicationId=f"again-{mark}-{number}",
        )
    for source, letters in (
        ("CollectQueue", "CollectQueue"),
        ("CollectQueue", "CollectDeadLetters"),
        ("ArtifactQueue", "ArtifactDeadLetters"),
        ("TriggerSyncQueue", "TriggerSyncDeadLetters"),
    ):
        (message, *_) = site.peek(source)
        sqs.send_message(QueueUrl=site.id_of(letters), MessageBody=message["Body"])
    sqs.send_message(
        QueueUrl=site.id_of("UndeliveredEvents"),
        MessageBody=undelivered(f"in/{mark}-undelivered"),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in {"RULE_ARN": rule_arn(site), "ERROR_CODE": "NO_PERMISSIONS"}.items()
        },
    )


def undelivered(key: str) -> str:
    """An event as EventBridge puts it aside."""
    detail = {"bucket": {"name": LANDING}, "object": {"key": key, "size": 5, "etag": "e", "sequencer": "1"}}
    event: dict[str, Any] = {"version": "0", "id": key, "source": "aws.s3", "detail-type": "Object Created"}
    return json.dumps({**event, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "detail": detail})


def rule_arn(site: Site) -> str:
    (rule,) = site.client("events").list_rules(NamePrefix=f"{STACK_NAME}.landed")["Rules"]
    return str(rule["Arn"])


def told_rule(site: Site) -> str:
    """What the rule of a trigger makes of an event."""
    targets = site.client("events").list_targets_by_rule(Rule=f"{STACK_NAME}.told")["Targets"]
    return str(targets[0]["InputTransformer"]["InputTemplate"])


def go_on(site: Site, mark: str) -> None:
    """What a user does after the update: the missing DAG comes, dead letters are redriven, triggers go on firing."""
    run_id = call_for_later(site, mark)  # again, with its key: the row that is left says which run it has
    site.put_dag(f"later_{mark}")
    wait_for("the run of the call", lambda: run_id in list_runs(site.stack, f"later_{mark}") or None, seconds=LONGEST)
    site.pause_dag("resting", paused=False)
    site.jetway("redrive")
    site.land(f"in/{mark}-after")
    site.tell("Told", f"{mark}-after")
    site.drop(f"data/hello_jetway/{mark}-after.csv", b"1")
    site.wait_until_empty("TriggerSyncQueue", "ArtifactQueue")
    until(lambda: site.has_trigger(f"fresh-{mark}"), "the trigger that was left is in force")
    wait_for(f"fresh_{mark} live", lambda: site.is_listed(f"fresh_{mark}") or None, seconds=LONGEST)
    site.tell(f"Fresh-{mark}", "fired")


def settled(site: Site, mark: str) -> None:
    """All that was left has its run, and exactly one."""
    wanted = {
        "hello_jetway": {
            *(("landed", f"in/{mark}-{what}") for what in ("done", "waits", "undelivered", "after")),
            *(("told", f"{mark}-{what}") for what in ("waits", "after")),
            *(("None", f"data/hello_jetway/{mark}{what}.csv") for what in ("", "-after")),
            ("call", mark),
        },
        f"later_{mark}": {("call", mark)},
        "resting": {("strict", f"{mark}-letter")},
        f"fresh_{mark}": {("fresh", "fired")},
    }
    for dag_id, runs in wanted.items():
        site.wait_for_runs(dag_id, runs)
    bulk = [f"bulk/{mark}-{number}" for number in (1, 2, 3)]
    until(lambda: bulk in site.batches(), "the batch that was open has its run")
    ticks = len(site.starts("clock"))
    until(lambda: len(site.starts("clock")) > ticks, "the schedule fires")
    site.wait_until_empty(*WORK, "DispatchDeadLetters", "UndeliveredEvents", "CollectDeadLetters")
    # What would come twice has come by the next firing: every queue was empty before it.
    ticks = len(site.starts("clock"))
    until(lambda: len(site.starts("clock")) > ticks, "the schedule fires once more")
    for dag_id in (*wanted, "clock"):
        assert [run for run, times in site.starts(dag_id).items() if times > 1] == []
    for dag_id in (f"later_{mark}", f"fresh_{mark}"):
        assert site.starts(dag_id).keys() == wanted[dag_id]
    assert site.batches().count(bulk) == 1
    assert len([key for keys in site.batches() for key in keys if f"/{mark}-" in key]) == len(bulk)
    for queue in ("ArtifactDeadLetters", "TriggerSyncDeadLetters"):
        site.client("sqs").purge_queue(QueueUrl=site.id_of(queue))
