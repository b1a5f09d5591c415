"""plugins.zip: what works there and hardly belongs there gets a warning, and what people do put there gets none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.artifacts.findings import Candidate, Finding
from jetway.artifacts.packed_dags import check_packed_dags
from jetway.artifacts.plugins.plugins_contents import foreign, secrets
from jetway.artifacts.plugins.plugins_zip import check_plugins

from .judging import AIRFLOW_3
from .zips import PLUGIN, wheel, zip_of

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00"
LINUX, ARM = ELF + b"\x3e\x00", ELF + b"\xb7\x00"
SIX = wheel("six", "1.17.0", tag="py2.py3-none-any")


def found(files: dict[str, bytes]) -> list[Finding]:
    """The findings of a zip that is accepted; all of them are warnings."""
    content = zip_of(files)
    judged = check_plugins(Candidate("plugins.zip", len(content), content), AIRFLOW_3)
    assert judged.verdict == "accepted"
    return list(judged.findings)


def rules(files: dict[str, bytes]) -> list[str]:
    return [finding.rule for finding in found({"plugin.py": PLUGIN, **files})]


@pytest.mark.parametrize(
    "files", [{}, {"a/": b""}, {".gitkeep": b""}, {"README.md": b"put them here"}, {".DS_Store": b""}]
)
def test_a_zip_with_nothing_in_it(files: dict[str, bytes]) -> None:
    assert "empty-zip" in [finding.rule for finding in found(files)]


def test_names_that_differ_in_case_are_two_files_on_mwaa() -> None:
    (finding,) = found({"Orders.py": PLUGIN, "orders.py": b""})
    assert (finding.rule, finding.severity) == ("case-collision", "warning")
    content = zip_of({"a.py": b"", "A.py": b""})
    assert (
        check_packed_dags(Candidate("dags/a.zip", len(content), content), AIRFLOW_3, max_bytes=99).verdict == "accepted"
    )


@pytest.mark.parametrize("name", ["lib.zip", "acme/plugins.zip", "x.tar", "x.tgz", "X.ZIP", "old.egg", "a.7z"])
def test_an_archive_in_it(name: str) -> None:
    assert rules({name: b"PK"}) == ["nested-archive"]


@pytest.mark.parametrize("name", ["acme-1.0.tar.gz", "acme-1.0.zip", "zip.py", "data.gz", "acme.jar", "zip"])
def test_what_is_no_archive_or_one_that_pip_installs(name: str) -> None:
    assert rules({name: b""}) == []


@pytest.mark.parametrize(
    "name",
    [
        "__pycache__/plugin.cpython-312.pyc",
        "acme/__pycache__/x.pyc",
        ".git/HEAD",
        ".venv/lib/x.txt",
        "node_modules/a.js",
    ],
)
def test_what_tools_leave_behind(name: str) -> None:
    assert rules({name: b""}) == ["leavings"]


def test_what_is_named_as_a_secret_and_holds_one_is_told_once() -> None:
    assert rules({".env": b"AWS_SECRET_ACCESS_KEY=" + b"abcd1234" * 5 + b"\n"}) == ["secrets"]


def test_one_file_is_not_files() -> None:
    (finding,) = [one for one in found({"plugin.py": PLUGIN, "__pycache__/a.pyc": b""}) if one.rule == "leavings"]
    assert finding.message.startswith("1 file in __pycache__ is left by tools: nothing needs it, ")


def test_there_is_one_finding_on_all_of_it_with_the_command_that_leaves_it_out() -> None:
    (finding,) = found({"p.py": PLUGIN, "__pycache__/a.pyc": b"", "__pycache__/b.pyc": b"", ".git/HEAD": b""})
    assert finding.message.startswith("3 files in .git, __pycache__ ")
    assert finding.remedy.endswith("-x '*.git/*' -x '*__pycache__/*'")


KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\n"
ACCESS = b"AKIA" + b"Q3EGRIZ7HWJTPLMN"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (".env", b"", None),
        ("acme/.env.prod", b"", None),
        ("keys/id_rsa", b"", None),
        (".aws/credentials", b"", None),
        ("acme/client.p12", b"\0", None),
        (".netrc", b"", None),
        ("acme/key.pem", b"# ours\n" + KEY, 2),
        ("acme/account.json", b'{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkq"}', 1),
        ("acme/hook.py", b"import x\nKEY = '" + ACCESS + b"'\n", 2),
        ("settings.ini", b"[a]\naws_secret_access_key = " + b"aB3/" * 10 + b"\n", 2),
        ("settings.yaml", b"token: ghp_" + b"a1B2" * 9 + b"\n", 1),
    ],
)
def test_secrets_are_found_by_name_or_content_and_never_repeated(name: str, content: bytes, line: int | None) -> None:
    (finding,) = found({"plugin.py": PLUGIN, name: content})
    assert (finding.rule, finding.line, name in finding.message) == ("secrets", line, True)
    assert "AKIA" not in repr(finding)
    assert "MII" not in repr(finding)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env.example", b"A=1"),
        ("acme/ca.pem", b"-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEA7\n"),
        ("acme/docs.py", b"# AKIAIOSFODNN7EXAMPLE\nif '-----BEGIN PRIVATE KEY-----' in text:\n    pass\n"),
        ("acme/keys.py", b"aws_secret_access_key = Variable.get('secret')\n"),
        ("acme/doc.txt", b"aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"),
        ("environment.py", b""),
        ("acme/monkey.key.txt", b"banana"),
    ],
)
def test_what_only_speaks_of_secrets(name: str, content: bytes) -> None:
    assert rules({name: content}) == []


@pytest.mark.parametrize(
    ("name", "head", "why"),
    [
        ("a.cpython-312-darwin.so", b"", "macOS"),
        ("a.so", b"\xcf\xfa\xed\xfe", "macOS"),
        ("liba.dylib", b"", "macOS"),
        ("a.cp312-win_amd64.pyd", b"MZ", "Windows"),
        ("a.dll", b"", "Windows"),
        ("a.so", ARM, "aarch64"),
        ("a.so.1.2", ARM, "aarch64"),
        ("a.cpython-312-x86_64-linux-musl.so", LINUX, "musl"),
        ("a.cpython-39-x86_64-linux-gnu.so", LINUX, "Python 3.9"),
        ("a.so", b"\x7fELF\x02\x02" + bytes(12) + b"\x00\x16", "another processor"),
    ],
)
def test_binaries_of_another_platform(name: str, head: bytes, why: str) -> None:
    (finding,) = found({"plugin.py": PLUGIN, f"acme/{name}": head})
    assert (finding.rule, why in finding.message) == ("foreign-binary", True)


@pytest.mark.parametrize("name", ["a.so", "a.abi3.so", "a.cpython-312-x86_64-linux-gnu.so", "liba.so.1", "so.txt"])
def test_binaries_of_mwaas_platform(name: str) -> None:
    assert rules({name: LINUX}) == []


def test_wheels_and_data_get_no_finding() -> None:
    assert rules({SIX[0]: SIX[1], "acme/sql/q.sql": b"select 1", "acme/logo.png": b"\x89PNG", "LICENSE": b"MIT"}) == []


@given(st.text(max_size=40), st.binary(max_size=200))
def test_anything_can_be_looked_at(name: str, content: bytes) -> None:
    list(secrets(name, content))
    foreign(name, content[:20], (3, 12))
