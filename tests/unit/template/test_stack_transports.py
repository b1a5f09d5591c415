"""What each transport changes in the stack: who may ask Airflow how, and the lanes of files."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.unit.template.stacks import listed, roles
from tools.checks.rendered import ACCOUNT, REGION, Rendered

ASK_AIRFLOW = {
    "VerifyPromotionRole",
    "ApplyUpdatesFunctionRole",
    "StartDagRunRole",
    "FollowRunsRole",
    "HttpApiFunctionRole",
}
JUDGES = {"VerifyPromotionRole", "ApplyUpdatesFunctionRole"}  # import errors are read over REST, whatever the transport
TRANSPORTS = ("auto", "rest", "cli", "direct")
TO_TALK = {"airflow:CreateCliToken", "airflow:InvokeRestApi", "airflow:CreateWebLoginToken"}


@cache
def stack(transport: str) -> Rendered:
    return Rendered(parameters={"EnvironmentName": "acme", "Transport": transport})


def rights(transport: str) -> dict[str, list[dict[str, Any]]]:
    """The statements of each role that has to do with Airflow's web server."""
    found = {
        name: [one for one in statements if TO_TALK & {*listed(one["Action"])}]
        for name, statements in roles(stack(transport))
    }
    return {name: statements for name, statements in found.items() if statements}


def test_auto_is_the_default() -> None:
    assert Rendered().resources["StartDagRun"]["Properties"]["Environment"]["Variables"]["TRANSPORT"] == "auto"


@pytest.mark.parametrize(
    ("transport", "actions"),
    [
        ("auto", {"airflow:CreateCliToken", "airflow:InvokeRestApi"}),
        ("rest", {"airflow:CreateCliToken", "airflow:InvokeRestApi"}),
        ("cli", {"airflow:CreateCliToken"}),
        ("direct", {"airflow:CreateWebLoginToken"}),
    ],
)
def test_a_role_has_the_rights_of_its_transport_and_no_more(transport: str, actions: set[str]) -> None:
    here = f"arn:aws:airflow:{REGION}:{ACCOUNT}"
    found = rights(transport)
    assert found.keys() == ASK_AIRFLOW
    for name, statements in found.items():
        wanted = actions | ({"airflow:InvokeRestApi"} if transport == "cli" and name in JUDGES else set())
        assert {action for one in statements for action in listed(one["Action"])} & TO_TALK == wanted, name
        for one in statements:
            of_role = "airflow:CreateCliToken" not in listed(one["Action"])
            assert one["Resource"] == (f"{here}:role/acme/User" if of_role else f"{here}:environment/acme"), name
    for name, statements in roles(stack(transport)):
        asks = any("airflow:GetEnvironment" in listed(one["Action"]) for one in statements)
        assert asks or name not in ASK_AIRFLOW


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_calls_are_counted_by_who_makes_them_and_nothing_else_is_written(transport: str) -> None:
    table = stack(transport).reference("LedgerTable", "Arn")
    for name, statements in roles(stack(transport)):
        if name not in ASK_AIRFLOW:
            continue
        counting = [
            one for one in statements if one["Resource"] == table and "dynamodb:UpdateItem" in listed(one["Action"])
        ]
        if name in {"StartDagRunRole", "FollowRunsRole"}:
            assert counting, name  # they write the ledger's rows
            continue
        if transport == "direct" or (transport == "cli" and name not in JUDGES):
            assert counting == [], name
            continue
        (only,) = counting
        keys = ["budget/bulk", "budget/interactive", "budget/commands"]
        assert only["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": keys}}, name


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_files_have_lanes_of_their_triggers_unless_commands_come_one_at_a_time(transport: str) -> None:
    (target,) = stack(transport).resources["DataDroppedRule"]["Properties"]["Targets"]
    assert target["SqsParameters"]["MessageGroupId"] == ("bulk" if transport == "cli" else "bulk/data")
    for function in ("SyncTriggers", "CollectBatch"):
        variables = stack(transport).resources[function]["Properties"]["Environment"]["Variables"]
        assert variables["TRANSPORT"] == transport, function
