"""How AWS's APIs are waited for."""

from __future__ import annotations

from botocore.config import Config

CONNECT_TIMEOUT = 3.0


def bounded(*, read_timeout: float = 5.0, attempts: int = 3) -> Config:
    """Return a client's configuration: waits that end before the function does, and tries with jitter between them.

    botocore's own timeouts are 60 s, and its retries of the first kind (legacy) make up to ten tries of them.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html

    Args:
        read_timeout: seconds until the next byte of an answer.
        attempts: tries in all, the first one included.
    """
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
