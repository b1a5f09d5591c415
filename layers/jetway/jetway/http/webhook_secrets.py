"""Secrets of webhooks in AWS Secrets Manager. While one is being rotated, the one before is valid as well."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE = 300.0  # seconds; a secret that was taken back is valid for so long at the most
MIN_AGE = 5.0  # seconds until a wrong signature is a reason to read anew: forgeries must not cost a call each

# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version
_STAGES = ("AWSCURRENT", "AWSPREVIOUS")


@dataclass(frozen=True, slots=True)
class _Read:
    secrets: tuple[str, ...]
    at: float


class WebhookSecrets:
    """The valid values of each secret, remembered for a while."""

    def __init__(self, client: SecretsManagerClient, *, clock: Callable[[], float] = time.time) -> None:
        """Take the client; nothing is called.

        Args:
            client: botocore's secretsmanager client.
            clock: wall-clock time, because a frozen Lambda's monotonic clock may stand still.
        """
        self._client = client
        self._clock = clock
        self._read: dict[str, _Read] = {}

    def get(self, name: str, *, fresh: bool = False) -> tuple[str, ...]:
        """Return the valid values, current one first; empty when there is no such secret.

        Args:
            name: of the secret, or its ARN.
            fresh: read anew what is older than a few seconds: the sender may have been given a new secret.

        Raises:
            ClientError, BotoCoreError: Secrets Manager refuses or does not answer.
        """
        known, now = self._read.get(name), self._clock()
        if known is not None and 0 <= now - known.at < (MIN_AGE if fresh else MAX_AGE):
            return known.secrets
        values = (self._value(name, stage) for stage in _STAGES)
        read = _Read(tuple(value for value in values if value), now)
        self._read[name] = read
        return read.secrets

    def _value(self, name: str, stage: str) -> str | None:
        try:
            text = self._client.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"]
        except ClientError as exc:
            # No such secret, or none before this one. A deleted secret answers InvalidRequestException.
            if exc.response["Error"]["Code"] in {"ResourceNotFoundException", "InvalidRequestException"}:
                return None
            raise
        return _secret_in(text)


def _secret_in(text: str) -> str | None:
    """Return the secret: the text itself, or the member `secret` of a JSON object, as the console stores it."""
    if text.startswith("{"):
        try:
            value = json.loads(text).get("secret")
        except ValueError:
            return text
        return value if isinstance(value, str) else None
    return text
