"""Which DAG files read a data file: what every load has told, kept in the artifact table.

`reads#<path of the DAG file>` lists what it reads; `read#<path>` lists who reads that. A path is relative to the dags
folder; one that ends with a slash is a folder that was listed: all that lies in it counts as read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jetway.aws.dynamodb import write_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A file that reads more is known by the first so many: each is an item.
MOST_KEPT = 200


class Readers:
    """Keeps who reads what.

    Args:
        client: of DynamoDB.
        table: the artifact table.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table

    def remember(self, reader: str, read: Iterable[str]) -> None:
        """Keep what a DAG file has read when it was loaded, instead of what it read before.

        Args:
            reader: path of the DAG file below the dags folder.
            read: as the loader tells it.

        Raises:
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        now, before = set(kept(read)), self._get(f"reads#{reader}")
        if now == before:
            return
        # First the way there, so that who is killed in between leaves nothing unknown.
        for path in sorted(now - before):
            self._change(f"read#{path}", reader, "ADD")
        pk = {"pk": {"S": f"reads#{reader}"}}
        if now:
            self._client.put_item(TableName=self._table, Item={**pk, "names": {"SS": sorted(now)}})
        for path in sorted(before - now):
            self._change(f"read#{path}", reader, "DELETE")
            write_if(
                self._client.delete_item,
                TableName=self._table,
                Key={"pk": {"S": f"read#{path}"}},
                ConditionExpression="attribute_not_exists(#names)",
                ExpressionAttributeNames={"#names": "names"},
            )
        if not now:
            self._client.delete_item(TableName=self._table, Key=pk)

    def of(self, path: str, folders: Iterable[str]) -> list[str]:
        """Return the DAG files that read a file, as their last loads have told; sorted.

        Args:
            path: of the file, below the dags folder.
            folders: those that the dags folder has, without a slash at the end: who lists one of them walks into new
                ones below it, too.

        Raises:
            ClientError, BotoCoreError: DynamoDB is in trouble.
        """
        found = self._get(f"read#{path}")
        there, folder = set(folders), path.rpartition("/")[0]
        while True:
            found |= self._get(f"read#{folder}/")
            if not folder or folder in there:
                return sorted(found - {path})
            folder = folder.rpartition("/")[0]

    def _get(self, pk: str) -> set[str]:
        answer = self._client.get_item(TableName=self._table, Key={"pk": {"S": pk}}, ConsistentRead=True)
        return set(answer.get("Item", {}).get("names", {}).get("SS", ()))

    def _change(self, pk: str, reader: str, how: str) -> None:
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": pk}},
            UpdateExpression=f"{how} #names :reader",
            ExpressionAttributeNames={"#names": "names"},
            ExpressionAttributeValues={":reader": {"SS": [reader]}},
        )


def kept(read: Iterable[str]) -> list[str]:
    """Return what is kept of what was read: a file in a folder that was listed says no more than the folder."""
    read = set(read)
    folders = sorted(path for path in read if path.endswith("/"))
    files = sorted(path for path in read.difference(folders) if f"{path}/" not in read)
    return [*folders, *(path for path in files if f"{path.rpartition('/')[0]}/" not in read)][:MOST_KEPT]
