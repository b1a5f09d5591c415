"""What is in the environment's bucket without having come through the drop bucket is somebody's own: told, and left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from jetway.promotion import notifications as news
from jetway.promotion.artifact_state import BY_HAND, LONGEST_WORK, put_by_hand
from jetway.promotion.copy import SOURCE_VERSION
from jetway.promotion.restore import INSTEAD_OF
from jetway.promotion.rollout import Rollout, say
from jetway.promotion.state_table import StandingChangedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jetway.aws.s3 import ObjectVersion
    from jetway.promotion.artifact_state import ArtifactState
    from jetway.promotion.notifications import Notification
    from jetway.promotion.state_table import ArtifactStateTable


def source_of(there: ObjectVersion | None) -> str | None:
    """The version of the drop bucket that an object is a copy of; `BY_HAND` when it is none, None without an object."""
    return None if there is None else there.metadata.get(SOURCE_VERSION, BY_HAND)


def is_by_hand(there: ObjectVersion) -> bool:
    """Whether someone has put an object there since Jetway last acted.

    One that was there before a version went live, and has come back for that, gives way to it again.
    """
    return source_of(there) == BY_HAND and INSTEAD_OF not in there.metadata


def overtake(
    s3: S3Client,
    table: ArtifactStateTable,
    tell: Callable[[Notification], None],
    standing: ArtifactState,
    at: datetime,
    *,
    environment: str,
    drop_bucket: str,
) -> None:
    """Write down and tell that somebody has put something else live by hand; called again, it tells the same.

    Raises:
        ClientError, BotoCoreError: S3, DynamoDB or SNS is in trouble.
    """
    if standing.live is None:
        return
    say(s3, drop_bucket, standing.key, standing.live, Rollout("replaced-by-hand", at))
    tell(news.put_by_hand(environment, drop_bucket, standing.key, standing.live, at))
    with suppress(StandingChangedError):  # something newer came: whoever brought it looks at the bucket
        table.put(put_by_hand(standing, last_look=at + LONGEST_WORK))
