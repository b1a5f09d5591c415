"""Whether anything listens to a webhook: the stack takes webhooks, and the secret is there. It is never read here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from jetway.artifacts.findings import Finding

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

OFF_REMEDY = "Set the stack's parameter Webhooks to enabled, or use auth: iam (POST /triggers/…)."


class Hooks:
    """The webhooks of a stack, for one run.

    Args:
        client: of Secrets Manager; None when the stack takes no webhooks.
        prefix: of the secrets' names, with its slash.
    """

    def __init__(self, client: SecretsManagerClient | None, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._answers = True

    def finding(self, name: str, line: int | None) -> Finding | None:
        """Return a warning about a webhook that nothing can start; None also where nobody can tell."""
        if self._client is None:
            message = (
                f"This stack does not accept webhooks: POST /webhooks/{name} is answered with 404, and nothing starts."
            )
            return Finding("webhooks-off", "warning", message, line, OFF_REMEDY)
        secret = f"{self._prefix}{name}"
        if not self._answers:  # it is not waited for again: this is a warning only
            return None
        try:
            there = self._client.describe_secret(SecretId=secret)
        except (ClientError, BotoCoreError) as exc:
            if isinstance(exc, ClientError) and exc.response["Error"]["Code"] == "ResourceNotFoundException":
                return _no_secret(f"Secret {secret} does not exist in Secrets Manager", line, _make(secret))
            self._answers = isinstance(exc, ClientError)
            return None
        if "DeletedDate" in there:
            remedy = f"Restore it: aws secretsmanager restore-secret --secret-id {secret}"
            return _no_secret(f"Secret {secret} is scheduled for deletion and cannot be read", line, remedy)
        return None


def _no_secret(what: str, line: int | None, remedy: str) -> Finding:
    message = f"{what}: every call is answered with 401, and nothing starts."
    return Finding("no-secret", "warning", message, line, remedy)


def _make(secret: str) -> str:
    return f"Create it, and sign with TEXT: aws secretsmanager create-secret --name {secret} --secret-string TEXT"
