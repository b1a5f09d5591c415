"""The throw-away certificates convince a strict client that has the bundle, and nobody else."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest

from tools.emulator import certificates
from tools.emulator.certificates import Certificates


def handshake(files: Certificates, cafile: Path, host: str) -> None:
    """Shake hands with a server that has the certificate, as a client that trusts `cafile`."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=str(cafile))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            try:
                serving.wrap_socket(theirs, server_side=True).close()
            except OSError:
                return  # the client refuses

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours:
            client.wrap_socket(ours, server_hostname=host).close()
    finally:
        thread.join()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_client_with_the_bundle_trusts_the_server(certificate: Certificates, host: str) -> None:
    handshake(certificate, certificate.bundle, host)


def test_nobody_else_trusts_it(certificate: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        handshake(certificate, Path(certifi.where()), "localhost")


def test_it_is_not_good_for_another_host(certificate: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(certificate, certificate.bundle, "example.com")


def test_the_bundle_still_trusts_the_public_authorities(certificate: Certificates) -> None:
    assert Path(certifi.where()).read_bytes() in certificate.bundle.read_bytes()


def test_the_key_is_private(certificate: Certificates) -> None:
    assert stat.S_IMODE(certificate.key.stat().st_mode) == 0o600


def test_certificates_are_kept_until_shortly_before_they_expire(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    first = certificates.ensure(tmp_path, now=now - timedelta(days=84)).certificate.read_bytes()
    assert certificates.ensure(tmp_path, now=now - timedelta(days=2)).certificate.read_bytes() == first
    renewed = certificates.ensure(tmp_path, now=now)
    assert renewed.certificate.read_bytes() != first
    handshake(renewed, renewed.bundle, "localhost")


@pytest.mark.parametrize("name", ["ca.pem", "server.pem", "server.key", "bundle.pem"])
@pytest.mark.parametrize("damage", ["missing", "broken", "of another"])
def test_a_set_that_does_not_fit_is_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    files = certificates.ensure(tmp_path / "one")
    broken = tmp_path / "one" / name
    if damage == "missing":
        broken.unlink()
    elif damage == "broken":
        broken.write_bytes(b"-----BEGIN")
    else:
        certificates.ensure(tmp_path / "another")
        broken.write_bytes((tmp_path / "another" / name).read_bytes())
    certificates.ensure(tmp_path / "one")
    handshake(files, files.bundle, "localhost")
