"""An issuer of JSON Web Tokens on loopback, as Cognito or Okta are: OpenID configuration, keys, signed tokens."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tools.emulator.certificates import Certificates

KEY_ID = "of-the-tests"


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Issuer:
    """Makes tokens.

    Attributes:
        url: as in the tokens' iss claim.
    """

    url: str
    key: rsa.RSAPrivateKey = field(default_factory=_new_key)

    def token(self, *, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        """Return a token that is valid for five minutes, unless claims say something else."""
        now = int(time.time())
        payload = {"iss": self.url, "sub": "ann", "aud": "jetway", "iat": now - 1, "exp": now + 300, **claims}
        signed = f"{_text({'alg': 'RS256', 'kid': KEY_ID})}.{_text(payload)}"
        signature = (key or self.key).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def document(self, path: str) -> dict[str, Any] | None:
        """Return what is at a path."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path != "/keys":
            return None
        numbers = self.key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "kid": KEY_ID,
            "alg": "RS256",
            "use": "sig",
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        return {"keys": [key]}


@contextmanager
def serve(certificates: Certificates) -> Iterator[Issuer]:
    """Run an issuer for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = issuer.document(self.path)
            body = json.dumps(found or {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"https://localhost:{server.server_port}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield issuer
    server.shutdown()
    server.server_close()
    thread.join()


def new_key() -> rsa.RSAPrivateKey:
    """Return a key that no issuer has."""
    return _new_key()


def _text(value: object) -> str:
    return _base64(json.dumps(value).encode())


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
