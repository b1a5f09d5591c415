"""Which DAGs Jetway knows: those of files that came through the drop bucket, as the artifact table has them.

Airflow is not asked: that takes a command of seconds, or a VPC, for a warning only.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from jetway.artifacts.findings import Finding

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from jetway.artifacts.findings import Judgement

_CLAIM = "dag#"  # jetway.loading.claims
_MOST_PAGES = 20  # of a megabyte


class KnownDags:
    """The DAGs of one environment; the table is read only when a trigger names one that has no claim."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table
        self._all: frozenset[str] | None = None

    def finding(self, dag_id: str, line: int | None) -> Finding | None:
        """Return a warning when a DAG is not known.

        Raises:
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        claim = self._client.get_item(TableName=self._table, Key={"pk": {"S": f"{_CLAIM}{dag_id}"}})
        if "Item" in claim:
            return None
        if self._all is None:
            self._all = frozenset(self._list())
        if dag_id in self._all:
            return None
        near = difflib.get_close_matches(dag_id, sorted(self._all), n=1)
        meant = f"Did you mean {near[0]!r}? Otherwise drop" if near else "Drop"
        return Finding(
            "dag-not-known",
            "warning",
            (
                f"No file that came through the drop bucket defines a DAG {dag_id!r}. Jetway does not know DAGs that "
                "were put into the environment manually. If it is one of them, nothing is wrong."
            ),
            line,
            (
                f"{meant} the file that defines it. Until Airflow has the DAG, events wait, and finally become dead "
                "letters."
            ),
        )

    def _list(self) -> Iterator[str]:
        """Every dag_id that is claimed, or that Airflow showed of a file that was promoted."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table, ProjectionExpression="pk, standing")
        for page in islice(pages, _MOST_PAGES):
            for item in page["Items"]:
                yield from _dags_of(item)


def line_of(dag_id: str, judged: Judgement) -> int | None:
    """Return the line in which a file names a DAG."""
    return next((dag.line for dag in judged.dags if dag.dag_id == dag_id), None)


def _dags_of(item: Mapping[str, Any]) -> Iterator[str]:
    pk: str = item["pk"]["S"]
    if pk.startswith(_CLAIM):
        yield pk.removeprefix(_CLAIM)
    elif "standing" in item:
        yield from (json.loads(item["standing"]["S"])["live"] or {}).get("dags", ())
