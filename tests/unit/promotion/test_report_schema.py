"""The published schema of reports is itself right, and refuses what is no report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jetway.artifacts.kinds import KINDS, UNKNOWN
from jetway.promotion.reports import report_on
from jetway_cli.check_kinds import CONFIGURATION
from tests.unit.artifacts.buckets import REPORT_SCHEMA, SCHEMA
from tests.unit.artifacts.judging import judge


def report(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(report_on("dags/orders.py", judge(text), 0.0123456789).as_json())
    return document


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_it_knows_every_kind_there_is() -> None:
    names = {kind.name for kind in (*KINDS, *CONFIGURATION, UNKNOWN)}
    assert set(SCHEMA["properties"]["kind"]["enum"]) == names


@pytest.mark.parametrize("text", ["", "x = (", "from airflow import DAG\nd = DAG('a')\ne = DAG(x)", "\0"])
def test_a_report_of_a_file_on_a_disk_needs_no_bucket(text: str) -> None:
    document = report(text)
    REPORT_SCHEMA.validate(document)
    assert list(document) == ["path", "kind", "verdict", "findings", "dags", "seconds"]
    assert document["seconds"] == 0.012346


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"},
        {"verdict": "accepted"},
        {"kind": "picture"},
        {"findings": [{"rule": "syntax"}]},
        {"findings": []},
        {"dags": ["orders"]},
        {"seconds": -1},
        {"more": 1},
        {"source": {}},
        {"outcome": "lost"},
        {"judged_at": "yesterday"},
    ],
    ids=str,
)
def test_what_is_no_report_is_refused(change: dict[str, Any]) -> None:
    rejected = report("x = (")
    assert REPORT_SCHEMA.is_valid(rejected)
    assert not REPORT_SCHEMA.is_valid(rejected | change)
