"""Which file of the drop bucket a dag_id belongs to: Airflow looks at one file at a time and never says.

Two items of the artifact table for each: `dag#<dag_id>` names the file, when it was uploaded and when judged, and is
written only when there is none, or its file is gone; `dags#<key>` lists what a file holds, so that what it no longer
makes is released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jetway.aws.dynamodb import ABSENT, put_if, write_if
from jetway.loading.dag_id_conflicts import Rival

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MOST_TRIES = 3


class DagClaims:
    """Claims dag_ids for files.

    Args:
        client: of DynamoDB.
        table: the artifact table.
        is_there: whether a key of the drop bucket still has an object: a file that is gone holds nothing.
    """

    def __init__(self, client: DynamoDBClient, table: str, is_there: Callable[[str], bool]) -> None:
        self._client, self._table, self._is_there = client, table, is_there

    def claim(
        self,
        key: str,
        dag_ids: Iterable[str],
        uploaded: datetime,
        now: datetime,
        other: Callable[[str], Rival | None] = lambda _dag_id: None,
    ) -> dict[str, Rival]:
        """Claim the dag_ids that a file makes, and release those it made before.

        Args:
            key: the file's key in the drop bucket.
            dag_ids: all that it makes.
            uploaded: when its version was uploaded.
            now: the moment of the claim.
            other: asked for a file that has a dag_id without a claim; only of a dag_id that nobody has claimed.

        Returns:
            dag_id → file that has it, for each that is taken. When there is one, nothing is released.

        Raises:
            ClientError, BotoCoreError: DynamoDB or S3 is in trouble.
        """
        wanted = set(dag_ids)
        me = Rival(key, uploaded, now)
        taken = {dag_id: holder for dag_id in sorted(wanted) if (holder := self._take(dag_id, me, other)) is not None}
        before = self.held(key)
        mine = wanted - set(taken)
        if not taken:
            for dag_id in before - wanted:
                self._free(dag_id, key)
            self._hold(key, mine)
        elif mine - before:
            self._hold(key, mine | before)
        return taken

    def release(self, key: str) -> None:
        """Release all that a file holds: it was removed.

        Raises:
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        for dag_id in self.held(key):
            self._free(dag_id, key)
        self._hold(key, set())

    def _take(self, dag_id: str, me: Rival, other: Callable[[str], Rival | None]) -> Rival | None:
        """Claim one dag_id; the file that has it when it is taken. A claim that stands keeps its times."""
        pk = {"pk": {"S": f"dag#{dag_id}"}}
        holder: Rival | None = None
        for _ in range(_MOST_TRIES):
            answer = self._client.get_item(TableName=self._table, Key=pk, ConsistentRead=True)
            holder = _rival(answer["Item"]) if "Item" in answer else None
            if holder is None:
                unclaimed = other(dag_id)
                if unclaimed is not None:
                    return unclaimed
                condition, values = ABSENT, {}
            elif holder.key == me.key:
                return None
            elif self._is_there(holder.key):
                return holder
            else:  # it is gone, so its claim is void
                condition, values = "holder = :gone", {":gone": {"S": holder.key}}
            if put_if(self._client, self._table, pk | _item(me), condition, values=values):
                return None
        return holder

    def _free(self, dag_id: str, key: str) -> None:
        write_if(  # where it does not hold another file has it by now
            self._client.delete_item,
            TableName=self._table,
            Key={"pk": {"S": f"dag#{dag_id}"}},
            ConditionExpression="holder = :me",
            ExpressionAttributeValues={":me": {"S": key}},
        )

    def held(self, key: str) -> set[str]:
        """Return the dag_ids that a file has.

        Raises:
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        answer = self._client.get_item(TableName=self._table, Key={"pk": {"S": f"dags#{key}"}}, ConsistentRead=True)
        return set(answer.get("Item", {}).get("dag_ids", {}).get("SS", ()))

    def _hold(self, key: str, dag_ids: set[str]) -> None:
        pk = {"pk": {"S": f"dags#{key}"}}
        if dag_ids:
            self._client.put_item(TableName=self._table, Item={**pk, "dag_ids": {"SS": sorted(dag_ids)}})
        else:
            self._client.delete_item(TableName=self._table, Key=pk)


def _item(me: Rival) -> dict[str, Any]:
    times = {"uploaded": me.uploaded, "claimed": me.claimed}
    return {"holder": {"S": me.key}} | {name: {"S": at.isoformat()} for name, at in times.items() if at}


def _rival(item: Mapping[str, Any]) -> Rival:
    """A claim; one that was made by an earlier release of Jetway has no times."""
    uploaded, claimed = (
        datetime.fromisoformat(item[name]["S"]) if name in item else None for name in ("uploaded", "claimed")
    )
    return Rival(item["holder"]["S"], uploaded, claimed)
