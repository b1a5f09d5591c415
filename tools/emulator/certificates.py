"""A throw-away certificate authority for the local stack's HTTPS, by trustme.

Product code speaks HTTPS to MWAA and verifies certificates. So that it needs no local branch, the gateway
has a certificate for localhost, and AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE name a bundle that trusts it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

_LIFE = timedelta(days=90)
_RENEW_BEFORE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM.

    Attributes:
        ca: our certificate authority.
        certificate: the server's, for localhost and 127.0.0.1.
        key: the server's private key, readable by its owner only.
        bundle: the public authorities (certifi's) and ours.
    """

    ca: Path
    certificate: Path
    key: Path
    bundle: Path


def ensure(folder: Path, *, now: datetime | None = None) -> Certificates:
    """Return the certificates kept in a folder; make them when missing, broken or to expire within a week.

    The authority's private key is never written: a new authority comes with each new certificate.
    """
    now = now or datetime.now(UTC)
    files = Certificates(
        ca=folder / "ca.pem",
        certificate=folder / "server.pem",
        key=folder / "server.key",
        bundle=folder / "bundle.pem",
    )
    if not _usable(files, now):
        folder.mkdir(parents=True, exist_ok=True)
        _make(files, now)
    return files


def _usable(files: Certificates, now: datetime) -> bool:
    try:
        ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
        bundle = files.bundle.read_bytes()
    except (FileNotFoundError, ValueError):
        return False
    return (
        key.public_key() == certificate.public_key()
        and certificate.issuer == ca.subject
        and min(ca.not_valid_after_utc, certificate.not_valid_after_utc) > now + _RENEW_BEFORE
        and files.ca.read_bytes() in bundle
    )


def _make(files: Certificates, now: datetime) -> None:
    authority = trustme.CA(organization_unit_name=f"Jetway local stack {now:%Y-%m-%d %H:%M:%S}")
    certificate = authority.issue_cert(
        "localhost",
        "127.0.0.1",
        common_name="localhost",
        not_before=now - timedelta(hours=1),  # clocks of virtual machines are sometimes a little off
        not_after=now + _LIFE,
    )
    files.key.touch(mode=0o600)
    files.key.write_bytes(certificate.private_key_pem.bytes())
    files.certificate.write_bytes(certificate.cert_chain_pems[0].bytes())
    ca_pem = authority.cert_pem.bytes()
    files.ca.write_bytes(ca_pem)
    files.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n# Jetway's local stack\n" + ca_pem)
