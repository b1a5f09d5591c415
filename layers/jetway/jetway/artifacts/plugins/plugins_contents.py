"""What works in a plugins.zip, and hardly belongs there: nothing at all, zips, caches, secrets, binaries of elsewhere.

All of it is warnings. Pure: names, and the bytes of files that are looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from jetway.artifacts.archives.zip_structure import is_clutter, shown
from jetway.artifacts.findings import Finding

if TYPE_CHECKING:
    from jetway.artifacts.archives.zip_reader import ZipMember

MOST_LOOKED_INTO = 64 * 1024  # bytes of a text file
HEAD = 20  # bytes that tell what a binary is for

_LEAVINGS = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".venv", "node_modules", ".tox", ".nox", ".idea", ".vscode"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"),
    }
)
_KEEPS_A_FOLDER = frozenset({".gitkeep", ".keep", ".gitignore", "README", "README.md", "README.txt"})
_NESTED = re.compile(r"\.(?:zip|tar|tgz|tar\.gz|tar\.bz2|tar\.xz|7z|rar|egg)$", re.IGNORECASE)
_SDIST = re.compile(r"[A-Za-z0-9._]+-[0-9][\w.+]*\.(?:zip|tar\.gz)$")  # which pip installs
_BINARY = re.compile(r"\.(?:so(?:\.[0-9.]+)?|pyd|dll|dylib)$", re.IGNORECASE)
_PYTHON_TAG = re.compile(r"\.(?:cpython-|cp)([0-9])([0-9]+)")

# Of these the name is enough.
_SECRET_NAME = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example|sample|template|dist)[\w-]+)?|\.netrc|\.pgpass|\.pypirc|\.git-credentials|\.htpasswd"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)|\.aws/credentials|[^/]+\.(?:p12|pfx|jks|keystore|kdbx|ppk))$",
    re.IGNORECASE,
)
_TEXTS = re.compile(
    r"(?:\.(?:py|json|ya?ml|ini|cfg|conf|toml|env|properties|txt|sh|pem|key|tf|tfvars|xml)|(?:^|/)[^./]+)$",
    re.IGNORECASE,
)
_SECRETS = (
    (re.compile(rb"-----BEGIN (?:[A-Z]{2,20} )?PRIVATE KEY-----\s*(?:\\n)?\s*[A-Za-z0-9+/]{16}"), "a private key"),
    (re.compile(rb"(?<![A-Z0-9])(?:AKIA|ASIA)(?![A-Z0-9]{9}EXAMPLE)[A-Z0-9]{16}(?![A-Z0-9])"), "an AWS access key"),
    (
        re.compile(
            rb"(?i:aws_?secret_?access_?key)[\"']?\s*[=:]\s*[\"']?(?![A-Za-z0-9/+]{30}EXAMPLEKEY)[A-Za-z0-9/+]{40}(?![\w/+])"
        ),
        "an AWS secret key",
    ),
    (re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{40,}"), "a GitHub token"),
    (re.compile(rb"\bglpat-[\w-]{20}\b"), "a GitLab token"),
    (re.compile(rb"\bxox[abprs]-[0-9]{6,}-[\w-]{10,}"), "a Slack token"),
)

# What the first bytes say: https://en.wikipedia.org/wiki/List_of_file_signatures
_MACHO = frozenset(
    {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe"}
)
_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i386", 40: "arm"}  # of ELF, e_machine


def of_names(members: Sequence[ZipMember]) -> Iterator[Finding]:
    """What names alone tell."""
    names = [member.name for member in members if not member.is_folder and not is_clutter(member.name)]
    if all(name.rpartition("/")[2] in _KEEPS_A_FOLDER for name in names):
        yield _empty(names)
    yield from _leavings(names)
    if nested := [name for name in names if _is_nested(name)]:
        yield Finding(
            rule="nested-archive",
            severity="warning",
            message=f"{_and_more(nested)}: MWAA unpacks plugins.zip, but not archives inside it.",
            line=None,
            remedy="Put the archive's content into plugins.zip itself, and libraries as wheels.",
        )
    for name in names:
        if _SECRET_NAME.search(name):
            yield _secret(name, None, "its name says so")


def is_text(member: ZipMember) -> bool:
    """Whether it is to be looked into for secrets: not where its name has said all."""
    return (
        not _SECRET_NAME.search(member.name)
        and member.size <= MOST_LOOKED_INTO
        and _TEXTS.search(member.name) is not None
    )


def is_binary(name: str) -> bool:
    """Whether its first bytes are to be looked at: a library that Python or another one loads."""
    return _BINARY.search(name) is not None


def secrets(name: str, content: bytes) -> Iterator[Finding]:
    """Secrets in a text file, one of each kind. They are not repeated in what is said."""
    for pattern, what in _SECRETS:
        if found := pattern.search(content):
            yield _secret(name, content.count(b"\n", 0, found.start()) + 1, f"it contains {what}")


def foreign(name: str, head: bytes, python: tuple[int, int]) -> str | None:
    """Why a binary cannot be loaded on MWAA, in a few words; None when nothing speaks against it.

    Args:
        head: its first bytes, HEAD of them.
        python: version of the environment's Python.
    """
    lowered = name.lower()
    if head[:4] in _MACHO or lowered.endswith(".dylib") or "-darwin." in lowered:
        return "for macOS"
    if head[:2] == b"MZ" or lowered.endswith((".dll", ".pyd")):
        return "for Windows"
    if head[:4] == b"\x7fELF" and len(head) >= HEAD:
        machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
        if machine != 62:
            return f"for {_MACHINES.get(machine, 'another processor')}"
    if "-musl" in lowered:
        return "for musl instead of glibc"
    tag = _PYTHON_TAG.search(lowered)
    if tag and "abi3" not in lowered and (int(tag[1]), int(tag[2])) != python:
        return f"for Python {tag[1]}.{tag[2]}"
    return None


def foreign_finding(found: Sequence[tuple[str, str]], python: tuple[int, int]) -> Finding:
    """One finding on the binaries that cannot be loaded: (name, why) each."""
    listed = [f"{name} ({why})" for name, why in found]
    return Finding(
        rule="foreign-binary",
        severity="warning",
        message=f"{_and_more(listed)}: MWAA runs Python {python[0]}.{python[1]} on Linux x86_64 and cannot load it.",
        line=None,
        remedy=(
            "Add the library as a wheel for that platform, through requirements.txt. Files that nothing loads can stay."
        ),
    )


def _empty(names: Sequence[str]) -> Finding:
    but = f" but {_and_more(names)}" if names else ""
    return Finding(
        rule="empty-zip",
        severity="warning",
        message=f"The zip is empty{but}: with it, the environment has no plugins.",
        line=None,
        remedy=(
            "Nothing to do, if you want to remove all plugins. Otherwise, create it again: cd FOLDER && zip -r "
            "../plugins.zip ."
        ),
    )


def _leavings(names: Iterable[str]) -> Iterator[Finding]:
    found = [name for name in names if _LEAVINGS.intersection(name.split("/")[:-1])]
    if found:
        kinds = sorted({part for name in found for part in name.split("/")[:-1] if part in _LEAVINGS})
        one = len(found) == 1
        files, are, them = ("1 file", "is", "it") if one else (f"{len(found)} files", "are", "them")
        yield Finding(
            rule="leavings",
            severity="warning",
            message=(
                f"{files} in {', '.join(kinds)} {are} left by tools: nothing needs {them}, and Airflow imports "
                f"each .py of {them}."
            ),
            line=None,
            remedy="Leave them out: zip -r plugins.zip . " + " ".join(f"-x '*{kind}/*'" for kind in kinds),
        )


def _is_nested(name: str) -> bool:
    return _NESTED.search(name) is not None and not _SDIST.fullmatch(name.rpartition("/")[2])


def _secret(name: str, line: int | None, why: str) -> Finding:
    return Finding(
        rule="secrets",
        severity="warning",
        message=f"{shown(name)} looks like a secret ({why}): everyone who can read the bucket can read it.",
        line=line,
        remedy="Remove it, replace the secret, and keep it in Secrets Manager or in an Airflow connection.",
    )


def _and_more(names: Sequence[str]) -> str:
    return shown(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
