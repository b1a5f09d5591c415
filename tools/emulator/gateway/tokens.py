"""Tokens as MWAA hands them out: signed, bound to one environment and one use, and really expiring.

The format is a JSON Web Token (HS256), made and read here: the few lines need no dependency.
https://docs.aws.amazon.com/mwaa/latest/userguide/call-mwaa-apis-cli.html: a CLI token lives for 60 seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Use = Literal["cli", "web", "session"]

_HEADER = b'{"alg":"HS256","typ":"JWT"}'


class TokenError(Exception):
    """The token is not one of ours, is for something else, or has expired."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Mints and verifies tokens of one environment.

    Attributes:
        clock: seconds since the epoch.
    """

    key: bytes
    environment: str
    clock: Callable[[], float] = time.time

    def mint(self, use: Use, seconds: float) -> str:
        """Make a token that is good for that use, for so many seconds."""
        claims = {
            "aud": self.environment,
            "use": use,
            "exp": self.clock() + seconds,
            "jti": secrets.token_hex(8),
        }
        signed = _encode(_HEADER) + b"." + _encode(json.dumps(claims).encode())
        return (signed + b"." + _encode(self._signature(signed))).decode()

    def verify(self, token: str, use: Use) -> None:
        """Raise TokenError unless the token is good now, for this use of this environment."""
        signed, _, signature = token.encode("utf-8", "replace").rpartition(b".")
        # The text is compared, not the bytes it stands for: base64 has several texts for the same bytes.
        if not hmac.compare_digest(signature, _encode(self._signature(signed))):
            raise TokenError("This token does not belong to this environment.")
        claims: dict[str, Any] = json.loads(_decode(signed.rpartition(b".")[2]))
        if claims["aud"] != self.environment or claims["use"] != use:
            raise TokenError("The token is for something else.")
        if self.clock() >= claims["exp"]:
            raise TokenError("The token has expired.")

    def _signature(self, signed: bytes) -> bytes:
        return hmac.new(self.key, signed, hashlib.sha256).digest()


def bearer(authorization: str) -> str:
    """The token of an Authorization header; empty, and so no token, when it has another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def load_key(file: Path) -> bytes:
    """Return the signing key kept in a file, made when there is none."""
    if not file.exists():
        draft = file.with_name(file.name + ".new")
        draft.touch(mode=0o600)
        draft.write_bytes(secrets.token_bytes(32))
        draft.replace(file)
    return file.read_bytes()


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decode(data: bytes) -> bytes:
    return urlsafe_b64decode(data + b"=" * (-len(data) % 4))
