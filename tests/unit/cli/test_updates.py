"""`jetway updates` as its users run it: the artifact table in moto, GetEnvironment on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from click.testing import Result

from jetway.promotion.artifact_state import ArtifactState, LiveVersion
from jetway.promotion.state_table import ArtifactStateTable
from jetway.updates.record import Debt, UpdateRecord, UpdateTable
from tests.unit.artifacts.buckets import TABLE, make_artifact_table
from tests.unit.cli.conftest import REGION, Cloud
from tests.unit.mwaa_server import MwaaServer

AT = datetime(2026, 11, 22, 6, 2, tzinfo=UTC)
VERSION, OBJECT = "neao5nwq7jut2lxa4mqj", "x3HL4kqtJlcpXroDTDmJ"
LIVE = LiveVersion(VERSION, "acme-airflow", "requirements.txt", OBJECT, "requirements", "accepted", AT, "r")
UPDATING = UpdateRecord(
    phase="updating",
    artifacts={"requirements.txt": LIVE},
    changes={"RequirementsS3Path": "requirements.txt", "RequirementsS3ObjectVersion": OBJECT},
    began_at=AT,
    accepted_at=AT,
    ours_at=AT,
    why=f"applies requirements.txt (version {VERSION})",
    seen={},
)


def put(cloud: Cloud, record: UpdateRecord, *standings: ArtifactState) -> None:
    """Write what apply_updates would have written."""
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    make_artifact_table(dynamodb)
    cloud.outputs |= {"ArtifactTableName": TABLE, "EnvironmentName": "acme"}
    UpdateTable(dynamodb, TABLE).put(record)
    for standing in standings:
        ArtifactStateTable(dynamodb, TABLE).put(standing)


@pytest.fixture
def mwaa(monkeypatch: pytest.MonkeyPatch) -> Iterator[MwaaServer]:
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    with MwaaServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", server.url)
        server.more = {"LastUpdate": {"Status": "SUCCESS", "CreatedAt": AT, "Source": "maintenance"}}
        yield server


def test_an_update_on_its_way_says_why_it_began_and_until_when(
    cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer
) -> None:
    put(cloud, UPDATING, ArtifactState("requirements.txt", "updating", LIVE))
    mwaa.status, mwaa.more["LastUpdate"] = "UPDATING", {"Status": "PENDING", "CreatedAt": AT}
    done = jetway("updates")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == (
        f"acme: UPDATING. The last update began 2026-11-22 06:02:00 UTC by Jetway: "
        f"applies requirements.txt (version {VERSION})."
    )
    assert lines[1] == (
        "next: the update is in progress; the environment is UPDATING; usually until 2026-11-22 06:32:00 UTC."
    )
    assert lines[4].split() == ["requirements.txt", VERSION, "updating", "none"]


def test_somebody_elses_update_is_not_called_ours(
    cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer
) -> None:
    put(cloud, UpdateRecord(ours_at=AT - timedelta(days=1), why="applies plugins.zip", seen={}))
    assert "by someone else (maintenance)." in jetway("updates").stdout
    document = json.loads(jetway("updates", "--json").stdout)
    assert (document["last_update"]["by_jetway"], document["last_update"]["why"]) == (False, None)
    assert document["artifacts"][1] == {
        "key": "plugins.zip",
        "version": None,
        "state": None,
        "in_force": None,
        "goes_back_from": None,
        "goes_back_to": None,
    }


def test_what_waits_says_for_what_and_until_when(cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer) -> None:
    cloud.parameters["UpdateQuietSeconds"] = "900"
    live = replace(LIVE, at=datetime.now(UTC))
    put(
        cloud,
        UpdateRecord(seen=dict.fromkeys(("requirements.txt", "plugins.zip", "startup.sh")), seen_update=AT),
        ArtifactState("requirements.txt", "waiting", live),
    )
    assert "next: waits; files that are uploaded together go together, about " in jetway("updates").stdout
    document: dict[str, Any] = json.loads(jetway("updates", "--json").stdout)
    assert document["next"]["step"] == "hold"
    assert document["next"]["artifacts"] == {"requirements.txt": VERSION}


def test_a_way_back_says_to_what(cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer) -> None:
    mwaa.status = "UPDATING"
    mwaa.more |= {"RequirementsS3Path": "requirements.txt", "RequirementsS3ObjectVersion": OBJECT}
    put(cloud, UpdateRecord(owed={"requirements.txt": Debt(LIVE, ("requirements.txt", "older"), AT)}))
    assert jetway("updates").stdout.splitlines()[4].split() == ["requirements.txt", OBJECT, "older"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            UpdateRecord(
                trouble="permission-missing",
                trouble_since=AT,
                trouble_words="UpdateEnvironment is denied.",
                trouble_told=True,
            ),
            "has been blocked since 2026-11-22 06:02:00 UTC: UpdateEnvironment is denied.",
        ),
        (
            UpdateRecord(owed={"plugins.zip": Debt(LIVE, ("plugins.zip", "a"), AT, 3, "Timed out.", True)}),
            "The rollback of plugins.zip failed: Timed out.",
        ),
    ],
)
def test_what_needs_a_person_is_a_negative_answer(
    cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer, record: UpdateRecord, words: str
) -> None:
    put(cloud, record)
    done = jetway("updates")
    assert done.exit_code == 1
    assert words in done.stderr


def test_a_stack_without_the_table_is_told_to_be_deployed_again(
    cloud: Cloud, jetway: Callable[..., Result], mwaa: MwaaServer
) -> None:
    cloud.outputs["EnvironmentName"] = "acme"
    done = jetway("updates")
    assert done.exit_code == 3
    assert "ArtifactTableName" in done.stderr
