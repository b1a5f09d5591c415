"""A subscription that nobody has confirmed is listed as such; MiniStack 1.5.33 lists it as confirmed, mail above all.

https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.services import sns  # type: ignore[import-not-found]

PENDING = "PendingConfirmation"

_list = sns._list_subscriptions_by_topic


def _list_with_those_that_wait(params: Mapping[str, Any]) -> Any:
    status, headers, body = _list(params)
    topic, error = sns._get_topic(sns._p(params, "TopicArn"), "sns:ListSubscriptionsByTopic")
    text = body.decode() if isinstance(body, bytes) else body
    for one in topic["subscriptions"] if error is None else ():
        # Whoever gets mail follows a link, and there is nobody who reads it.
        if not one.get("confirmed") or one["protocol"].startswith("email"):
            text = text.replace(f"<SubscriptionArn>{one['arn']}<", f"<SubscriptionArn>{PENDING}<")
    return status, headers, text.encode() if isinstance(body, bytes) else text


def install() -> None:
    """Put this in force."""
    sns._list_subscriptions_by_topic = _list_with_those_that_wait
