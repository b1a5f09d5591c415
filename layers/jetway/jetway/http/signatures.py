"""Signatures of webhooks: HMAC-SHA256 as GitHub, Stripe and Standard Webhooks define it. Pure functions.

github     X-Hub-Signature-256: sha256=<hex of the body>. It carries no time, so the replay cache alone stops a copy.
           https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
stripe     <header>: t=<seconds>,v1=<hex of "t.body">, any number of v1.
           https://docs.stripe.com/webhooks#verify-manually
standard   webhook-id, webhook-timestamp, webhook-signature: v1,<base64 of "id.timestamp.body">, any number of them.
           https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["github", "stripe", "standard"]

WINDOW = 300.0  # seconds that a timestamp may be off, either way; the five minutes of both specifications
SHORTEST_KEY = 16  # bytes; a shorter secret can be guessed, and signs nothing
MOST_SIGNATURES = 10  # in one header; each costs an HMAC comparison per secret

_HEX = re.compile(r"[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_PREFIX_OF_STANDARD_SECRETS = "whsec_"


class SignatureError(ValueError):
    """The signature is missing, malformed, wrong, or too old. The text is for the sender and tells no secret."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A request whose signature is right.

    Attributes:
        identity: what names the delivery and is covered by the signature: the same for the sender's next try.
        proof: what a replay repeats: a digest of the signature that was right.
        timestamp: of the signature, in seconds since 1970; None when the scheme has none.
        named_by: what the identity is made of: two deliveries with the same are one run.
    """

    identity: str
    proof: str
    timestamp: int | None
    named_by: Literal["body", "webhook-id"] = "body"


def verify(
    scheme: Scheme,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    *,
    now: float,
    header: str = "stripe-signature",
) -> Signed:
    """Check the signature of a request.

    Args:
        scheme: whose rules.
        headers: of the request, names in lower case.
        body: the raw body, exactly as received.
        secrets: the valid ones; two while a secret is being rotated.
        now: seconds since 1970.
        header: name of the header that carries a signature of scheme "stripe", in lower case.

    Raises:
        SignatureError: the request is not what somebody with a secret has signed, or not now.
    """
    keys = [key for secret in secrets if (key := key_of(scheme, secret)) is not None]
    if scheme == "github":
        return _verify_github(headers, body, keys)
    if scheme == "stripe":
        return _verify_stripe(headers, body, keys, now, header)
    return _verify_standard(headers, body, keys, now)


def key_of(scheme: Scheme, secret: str) -> bytes | None:
    """Return the key that a secret is; None when it is too short for one, or not what the scheme's secrets are.

    The sender must not learn of it: a webhook that is there refuses in the same words as one that is not.
    """
    try:
        key = _standard_key(secret) if scheme == "standard" else secret.encode()
    except ValueError:  # binascii.Error, and UnicodeEncodeError of half a surrogate pair
        return None
    return key if len(key.strip()) >= SHORTEST_KEY else None


def _verify_github(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes]) -> Signed:
    value = _header(headers, "x-hub-signature-256")
    name, _, signature = value.partition("=")
    if name != "sha256" or not _HEX.fullmatch(signature):
        raise SignatureError("x-hub-signature-256 is not sha256=<64 hexadecimal digits>")
    right = _find([signature], keys, lambda key: _mac(key, body).hex())
    # X-GitHub-Delivery is not covered by the signature, so it cannot name the delivery; the body can.
    return Signed(hashlib.sha256(body).hexdigest(), _proof(right), None)


def _verify_stripe(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float, header: str) -> Signed:
    items = [item.strip().partition("=") for item in _header(headers, header).split(",")]
    times = [value for name, _, value in items if name == "t"]
    signatures = [value for name, _, value in items if name == "v1" and _HEX.fullmatch(value)]
    if len(times) != 1 or not signatures:
        raise SignatureError(f"{header} is not t=<seconds>,v1=<64 hexadecimal digits>")
    timestamp = _fresh(times[0], now)
    signed = times[0].encode() + b"." + body
    right = _find(signatures, keys, lambda key: _mac(key, signed).hex())
    return Signed(hashlib.sha256(body).hexdigest(), _proof(right), timestamp)


def _verify_standard(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], now: float) -> Signed:
    id_, time = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
    signatures = [
        signature
        for version, _, signature in (item.partition(",") for item in _header(headers, "webhook-signature").split())
        if version == "v1" and signature
    ]
    if not signatures:
        raise SignatureError("webhook-signature has no v1,<base64>")
    if "." in id_:
        # It would be ambiguous where the id ends; the specification forbids it.
        raise SignatureError("webhook-id must not contain a full stop")
    timestamp = _fresh(time, now)
    signed = f"{id_}.{time}.".encode(errors="replace") + body
    right = _find(signatures, keys, lambda key: base64.b64encode(_mac(key, signed)).decode())
    return Signed(id_, _proof(right), timestamp, "webhook-id")


def _standard_key(secret: str) -> bytes:
    """A secret of Standard Webhooks is base64, with or without its prefix."""
    return base64.b64decode(secret.removeprefix(_PREFIX_OF_STANDARD_SECRETS), validate=True)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise SignatureError(f"header {name} is missing")
    return value


def _fresh(text: str, now: float) -> int:
    if not _SECONDS.fullmatch(text):
        raise SignatureError("the timestamp is not a number of seconds since 1970")
    timestamp = int(text)
    if abs(now - timestamp) > WINDOW:
        raise SignatureError(f"the timestamp differs from the current time by more than {WINDOW:.0f} s")
    return timestamp


def _find(signatures: Sequence[str], keys: Iterable[bytes], expected: Callable[[bytes], str]) -> str:
    """Return the signature that is right. Every pair is compared, each in constant time."""
    if len(signatures) > MOST_SIGNATURES:
        raise SignatureError(f"more than {MOST_SIGNATURES} signatures")
    right: str | None = None
    for key in keys:
        wanted = expected(key)
        for signature in signatures:
            if hmac.compare_digest(wanted.encode(), signature.encode(errors="replace")):
                right = wanted
    if right is None:
        raise SignatureError("the signature does not match the body")
    return right


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _proof(signature: str) -> str:
    return hashlib.sha256(signature.encode()).hexdigest()
