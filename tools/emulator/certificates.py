"""A throw-away certificate authority for the local stack's HTTPS.

Product code speaks HTTPS to MWAA and verifies certificates. So that it needs no local branch, the gateway
has a certificate for localhost, and AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE name a bundle that trusts it too.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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
    ca_key = ec.generate_private_key(ec.SECP256R1())
    # The date tells two authorities apart that a client may have seen.
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Jetway local stack {now:%Y-%m-%d %H:%M:%S}")])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        _builder(name, ca_name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        # Python 3.13 verifies strictly (RFC 5280) and refuses a leaf without it.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    files.key.touch(mode=0o600)
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    ca_pem = ca.public_bytes(serialization.Encoding.PEM)
    files.ca.write_bytes(ca_pem)
    files.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n# Jetway's local stack\n" + ca_pem)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of virtual machines are sometimes a little off
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
