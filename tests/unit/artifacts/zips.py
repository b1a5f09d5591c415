"""Zips, good and awkward, in memory."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping

PLUGIN = b'from airflow.plugins_manager import AirflowPlugin\nclass Acme(AirflowPlugin):\n    name = "acme"\n'


def zip_of(files: Mapping[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]], **options: int) -> bytes:
    """A zip of these files, in their order; names may come twice."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", options.get("compression", zipfile.ZIP_DEFLATED)) as made:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in files.items() if isinstance(files, Mapping) else files:
            made.writestr(name, content)
    return out.getvalue()


def symlink(name: str) -> zipfile.ZipInfo:
    """A member that is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    return info


def patched(content: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """Change bytes at an offset from every occurrence of a header's signature."""
    changed = bytearray(content)
    at = content.find(signature)
    while at >= 0:
        changed[at + offset : at + offset + len(value)] = value
        at = content.find(signature, at + 4)
    return bytes(changed)


def encrypted(content: bytes) -> bytes:
    """Mark every member as encrypted, in its own header and in the directory."""
    return patched(patched(content, b"PK\x03\x04", 6, b"\x01\x00"), b"PK\x01\x02", 8, b"\x01\x00")


def wheel(
    name: str, version: str, *requires: str, tag: str = "py3-none-any", python: str | None = None
) -> tuple[str, bytes]:
    """A wheel's file name and content."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {python}"] if python else []
    lines += [f"Requires-Dist: {line}" for line in requires]
    content = zip_of(
        {
            f"{name}/__init__.py": b"",
            f"{info}/METADATA": "\n".join([*lines, "", "A description: of it."]).encode(),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
            f"{info}/RECORD": b"",
        }
    )
    return f"{name}-{version}-{tag}.whl", content
