"""From a closed batch to its manifest and its dispatch message. Every step may be done again by anybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from jetway.aws.s3 import is_changed
from jetway.batches.model import Closed, dispatch_message, manifest
from jetway.dispatch.run import bulk_lane

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from jetway.batches.table import BatchTable


class ForeignManifestError(RuntimeError):
    """The manifest's place holds something else, put there by somebody else."""


class Finisher:
    """Sends closed batches out."""

    def __init__(
        self,
        table: BatchTable,
        s3: S3Client,
        sqs: SQSClient,
        *,
        bucket: str,
        dispatch_url: str,
        one_bulk_lane: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._table = table
        self._s3 = s3
        self._sqs = sqs
        self._bucket = bucket
        self._dispatch_url = dispatch_url
        self._one_bulk_lane = one_bulk_lane
        self._clock = clock

    def finish(self, batch_id: str) -> Closed | None:
        """Write the manifest, send the dispatch message, and note it; None when the batch went out before.

        Raises:
            ForeignManifestError: something else is where the manifest belongs.
            ClientError, BotoCoreError: not now; the batch stays among the closed ones, for the next sweep.
        """
        batch = self._table.read_closed(batch_id)
        if batch is None:
            return None
        self._write_manifest(batch)
        # The second message of a batch that was finished twice is dropped by SQS within five minutes, and by
        # Airflow at any time: both ask for the same run id.
        self._sqs.send_message(
            QueueUrl=self._dispatch_url,
            MessageBody=dispatch_message(batch, self._bucket),
            MessageGroupId=bulk_lane(batch.name, one_for_all=self._one_bulk_lane),
            MessageDeduplicationId=batch.dag_run_id,
        )
        self._table.mark_dispatched(batch_id, self._clock())
        return batch

    def _write_manifest(self, batch: Closed) -> None:
        body = manifest(batch)
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=batch.manifest_key,
                Body=body,
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as exc:
            if not is_changed(exc):
                raise
            # Ours, from an earlier try: then it is the same byte by byte.
            with self._s3.get_object(Bucket=self._bucket, Key=batch.manifest_key)["Body"] as there:
                if there.read() != body:
                    raise ForeignManifestError(
                        f"s3://{self._bucket}/{batch.manifest_key} is not the manifest of its batch; remove it."
                    ) from exc
