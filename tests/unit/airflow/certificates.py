"""A certificate for web servers on loopback."""

from __future__ import annotations

from pathlib import Path

import trustme


def make_certificate(folder: Path) -> Path:
    """Make a certificate for localhost; key, certificate and the authority to trust in one file."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    path = folder / "localhost.pem"
    path.write_bytes(certificate.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes())
    return path
