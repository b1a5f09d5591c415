"""Events conform to their published schemas, and messages tell a person what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import boto3
import pytest
from botocore.stub import ANY, Stubber
from jsonschema import Draft202012Validator

from jetway.promotion.artifact_state import ArtifactState, Defect, LiveVersion
from jetway.promotion.notifications import Notification, Notifier, rolled_back, stalled
from jetway.promotion.restore import Restored
from tests.unit.artifacts.buckets import DROP, LIVE
from tests.unit.explorer.update_stage import V1
from tests.unit.explorer.update_world import UpdateWorld
from tests.unit.promotion.world import GOOD, World
from tests.unit.promotion.world import START as NOW

SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schemas"
KEY = "dags/team/orders.py"
KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-central-1"}


def check(news: Notification) -> None:
    schema = json.loads((SCHEMAS / f"{news.event.detail_type}.json").read_text())
    assert schema["title"] == news.event.detail_type
    Draft202012Validator(schema).validate({"id": news.event.id, **news.event.detail})


def test_every_event_conforms_to_its_schema(world: World) -> None:
    world.verified(KEY)
    world.drop(KEY, b"with DAG(:")
    world.drop(KEY, GOOD + b"# worse\n")
    world.airflow.errors = {"team/orders.py": "KeyError: 'x'"}
    world.minutes(3)
    world.delete(KEY)
    world.drop("notes.txt", b"x")
    world.drop("requirements.txt", b"# nothing\n")
    world.apply()
    world.mwaa.end(error="no")
    world.apply()
    for news in world.news:
        check(news)
    assert set(world.told()) == {"ArtifactPromoted", "ArtifactRejected", "ArtifactRolledBack", "ArtifactRemoved"}


def test_so_do_those_of_what_is_passed_over_replaced_by_hand_and_never_seen(world: World) -> None:
    first = world.s3.put_object(Bucket=DROP, Key=KEY, Body=GOOD)["VersionId"]
    world.drop(KEY, GOOD + b"# newer\n")
    world.settle(KEY, first)
    world.s3.put_object(Bucket=LIVE, Key=KEY, Body=b"by hand")
    world.minutes(3)
    world.vanish("dags/gone.py")
    world.airflow.dags = {}
    world.drop("dags/silent.py", GOOD)
    world.minutes(14)
    for news in world.news:
        check(news)
    assert {"ArtifactSuperseded", "ArtifactNeverAppeared", "ArtifactVanished"} <= set(world.told())
    by_hand = [news.event.detail["by_hand"] for news in world.news if "by_hand" in news.event.detail]
    assert by_hand == [True]


def test_nobody_is_disturbed_by_what_works(world: World) -> None:
    world.verified(KEY)
    assert [news.message for news in world.news] == [None]


def test_a_rejection_says_what_is_wrong_where_and_what_to_do(world: World) -> None:
    version = world.drop(KEY, b"from airflow.sdk import DAG\nwith DAG('orders':\n    pass\n")
    (news,) = world.news
    assert news.subject == f"Jetway acme: {KEY} was rejected"
    message = news.message or ""
    assert f"{KEY}:2 syntax: " in message
    assert "To do: " in message
    assert "What was live stays live" in message
    assert f"Report: s3://{DROP}/reports/{KEY}/{version}.json" in message


def test_the_event_goes_first_then_the_message_in_ascii(world: World) -> None:
    key = "dags/café\n" + "x" * 200 + ".py"
    world.drop(key, b"with DAG(:")
    (news,) = world.news
    events, sns = boto3.client("events", **KEYS), boto3.client("sns", **KEYS)  # type: ignore[call-overload]
    with Stubber(events) as event_stub, Stubber(sns) as sns_stub:
        event_stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": []}, {"Entries": ANY})
        subject = ("Jetway acme: dags/caf??" + "x" * 200)[:100]
        expected = {"TopicArn": "arn:aws:sns:eu-central-1:111122223333:t", "Subject": subject, "Message": news.message}
        sns_stub.add_response("publish", {"MessageId": "1"}, expected)
        Notifier(events, "default", sns, "arn:aws:sns:eu-central-1:111122223333:t").tell(news)
        event_stub.assert_no_pending_responses()
        sns_stub.assert_no_pending_responses()


BAD = LiveVersion("v2", LIVE, KEY, "l2", "dag-file", "accepted", NOW, "reports/v2.json")
GOOD_ONE = LiveVersion("v1", LIVE, KEY, "l1", "dag-file", "accepted", NOW, "reports/v1.json")
UPDATED_BACK = "It is still in force. The environment is updating back"


@pytest.mark.parametrize(
    ("restored", "note", "was_live", "said"),
    [
        (Restored("restored", GOOD_ONE), None, True, "Version v1 is live again."),
        (Restored("restored", GOOD_ONE), UPDATED_BACK, True, "Version v1 comes back."),
        (Restored("restored", GOOD_ONE), None, False, "Version v1 stays in force."),
        (Restored("restored", GOOD_ONE), UPDATED_BACK, False, "Version v1 comes back."),
        (Restored("removed"), None, True, "Nothing was live before, so it was removed."),
        (Restored("removed"), None, False, "Nothing was in force before."),
        (Restored("superseded"), None, True, "A newer version had already replaced it."),
    ],
)
def test_a_roll_back_says_what_is_live_now(restored: Restored, note: str | None, said: str, *, was_live: bool) -> None:
    standing = ArtifactState(KEY, "rolling-back", BAD, problems=(Defect("team/orders.py", "KeyError: 'x'"),))
    news = rolled_back("acme", DROP, standing, restored, NOW, note=note, was_live=was_live)
    message = news.message or ""
    assert (message.splitlines()[1].endswith(said), "KeyError: 'x'" in message) == (True, True)


@pytest.mark.parametrize(
    ("keys", "waits"), [(("plugins.zip", "startup.sh"), "plugins.zip, startup.sh"), ((), "the limits of its workers")]
)
def test_an_update_that_cannot_go_on_says_what_waits_for_it(keys: tuple[str, ...], waits: str) -> None:
    news = stalled("acme", "throttled", "Rate exceeded", keys, since=NOW, at=NOW, to_do="wait.")
    assert f"2026-11-22 06:00 UTC. Waiting: {waits}." in (news.message or "")


def test_with_manual_updates_a_checked_file_says_that_somebody_has_to_apply_it() -> None:
    world = UpdateWorld()
    world.automatic = False
    version = world.drop("requirements.txt", V1)
    (news,) = world.news
    check(news)
    assert (news.event.detail_type, news.event.detail["version"]) == ("ArtifactPromoted", version)
    assert news.subject == "Jetway acme: requirements.txt is ready to be applied"
    assert "aws mwaa update-environment --name acme --requirements-s3-path requirements.txt" in (news.message or "")


@pytest.mark.parametrize("text", ["`", "``x`", "# no heading", "a\nb", "*x*", "<b>"])
def test_the_report_for_people_survives_what_users_write(world: World, text: str) -> None:
    key = f"dags/{text}.py"
    world.drop(key, b"with DAG(:")
    body = world.s3.get_object(Bucket=DROP, Key=f"reports/{key}/report.md")["Body"].read().decode()
    assert body.startswith("# dags/")
    assert sum(line.startswith("# ") for line in body.splitlines()) == 1
    assert "<b>" not in re.sub(r"`+[^`]*`+", "", body), "no markup but in code"
    assert "It is not live. The version that was live stays live." in body


def test_a_finding_of_a_whole_file_names_no_line(world: World) -> None:
    world.drop("notes.txt", b"x")
    (finding,) = world.news[-1].event.detail["findings"]
    assert finding["line"] is None
    assert f"\nnotes.txt {finding['rule']}: " in (world.news[-1].message or "")
