"""The access list in force, remembered for a while by a warm function."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from jetway.http.access import AccessList

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.airflow import AirflowLists, Dag
    from jetway.http.access import Reach

ACCEPTED_ACCESS = "accepted/access.json"  # in the drop bucket; its only writer is sync_triggers
MAX_AGE = 10.0  # seconds that a changed list may take to count here
LONGEST_PAGE = 100  # DAGs
MOST_DAGS = 5000  # that are looked at for a caller who may see some only
LONGEST_AGE = 300.0  # seconds that a list counts while S3 does not answer; after that nobody may do anything


class AccessLists:
    """The list in force."""

    def __init__(self, s3: S3Client, bucket: str, *, clock: Callable[[], float] = time.time) -> None:
        """Take the client; nothing is called.

        Args:
            s3: botocore's s3 client.
            bucket: the drop bucket.
            clock: wall-clock time, because a frozen Lambda's monotonic clock may stand still.
        """
        self._s3 = s3
        self._bucket = bucket
        self._clock = clock
        self._list = AccessList()
        self._read_at: float | None = None

    def current(self) -> AccessList:
        """Return the list in force; one without entries when access.yaml was never dropped, or was deleted.

        Raises:
            ClientError, BotoCoreError: S3 refuses or does not answer, and no list that is new enough is remembered.
        """
        now = self._clock()
        age = None if self._read_at is None else now - self._read_at
        if age is not None and 0 <= age < MAX_AGE:
            return self._list
        try:
            self._list, self._read_at = self._read(), now
        except (ClientError, BotoCoreError):
            if age is None or not 0 <= age < LONGEST_AGE:
                raise
        return self._list

    def _read(self) -> AccessList:
        try:
            content = self._s3.get_object(Bucket=self._bucket, Key=ACCEPTED_ACCESS)["Body"].read()
        except ClientError as exc:
            if exc.response["Error"]["Code"] == "NoSuchKey":
                return AccessList()
            raise
        return AccessList.of(json.loads(content)["document"])


def visible_dags(airflow: AirflowLists, reach: Reach, *, limit: int, offset: int) -> tuple[list[Dag], int]:
    """Return a page of the DAGs that a caller may see, and how many there are of them.

    Args:
        airflow: knows them all.
        reach: what the caller may see.
        limit: so many at the most.
        offset: skip so many.

    Raises:
        JetwayError: as `AirflowLists.list_dags`.
    """
    if not reach.is_limited:
        return airflow.list_dags(limit=limit, offset=offset)
    visible = all_visible(airflow, reach, most=MOST_DAGS)
    return visible[offset : offset + limit], len(visible)


def all_visible(airflow: AirflowLists, reach: Reach, *, most: int) -> list[Dag]:
    """Return the DAGs that a caller may see, among so many that Airflow lists first.

    Raises:
        JetwayError: as `AirflowLists.list_dags`.
    """
    visible: list[Dag] = []
    for start in range(0, most, LONGEST_PAGE):
        dags, total = airflow.list_dags(limit=LONGEST_PAGE, offset=start)
        visible += [dag for dag in dags if reach.allows("read", dag.dag_id)]
        if start + LONGEST_PAGE >= total:
            break
    return visible
