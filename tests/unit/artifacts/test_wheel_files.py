"""Wheels in plugins.zip: what pip would refuse is found by their own metadata."""

from __future__ import annotations

import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.plugins.plugins_zip import check_plugins
from jetway.artifacts.requirements import wheel_files

from .judging import AIRFLOW_3
from .zips import patched, wheel, zip_of

NAME, CONTENT = wheel("acme", "1.0", "requests>=2", "celery>=5 ; python_version >= '3.8'", python=">=3.9")
WHEEL = b"Wheel-Version: 1.0\n"
METADATA = b"Name: acme\nVersion: 1.0\n"


def judge(*files: tuple[str, bytes]) -> Judgement:
    content = zip_of(list(files))
    return check_plugins(Candidate("plugins.zip", len(content), content), AIRFLOW_3)


def of(**files: bytes) -> bytes:
    """A wheel with these files in its folder .dist-info."""
    return zip_of({f"acme-1.0.dist-info/{name}": content for name, content in files.items()})


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wheel_that_pip_can_install_gets_no_finding(compression: int) -> None:
    content = zip_of({NAME: CONTENT, "wheels/" + NAME: CONTENT}, compression=compression)
    judged = check_plugins(Candidate("plugins.zip", len(content), content), AIRFLOW_3)
    assert (judged.verdict, judged.findings) == ("accepted", ())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "not a zip", id="empty"),
        pytest.param(b"<html>not found</html>" * 9, "not a zip", id="an error page"),
        pytest.param(CONTENT[:-40], "not a zip", id="truncated"),
        pytest.param(zip_of({"acme/__init__.py": b""}), "no folders .dist-info", id="no metadata"),
        pytest.param(zip_of({"acme-1.0.dist-info/WHEEL": WHEEL}), "no acme-1.0.dist-info/METADATA", id="no METADATA"),
        pytest.param(of(METADATA=METADATA), "no acme-1.0.dist-info/WHEEL", id="no WHEEL"),
        pytest.param(of(METADATA=METADATA, WHEEL=b"Wheel-Version: 2.0\n"), "a format version", id="format 2"),
        pytest.param(of(METADATA=METADATA, WHEEL=b"?"), "a format version", id="no format"),
        pytest.param(of(METADATA=b"Name: other\nVersion: 1.0\n", WHEEL=WHEEL), "is of other 1.0", id="another name"),
        pytest.param(of(METADATA=b"Name: acme\nVersion: 2\n", WHEEL=WHEEL), "is of acme 2", id="another version"),
        pytest.param(of(METADATA=b"", WHEEL=WHEEL), "is of no name without a version", id="nothing in it"),
        pytest.param(
            zip_of({"a-1.dist-info/x": b"", "b-1.dist-info/x": b""}), "2 folders .dist-info", id="two of them"
        ),
    ],
)
def test_a_wheel_that_pip_cannot_install_is_refused(content: bytes, says: str) -> None:
    judged = judge((NAME, content))
    assert judged.verdict == "rejected"
    (finding,) = judged.findings
    assert finding.rule == "wheel-broken"
    assert finding.message.startswith(f"pip cannot install {NAME}: ")
    assert says in finding.message


@pytest.mark.parametrize(("version", "name"), [("1", "Acme"), ("1.0.0", "ACME")])
def test_spellings_of_name_and_version_do_not_matter(version: str, name: str) -> None:
    metadata = f"Name: {name}\nVersion: {version}\n".encode()
    assert judge((NAME, of(METADATA=metadata, WHEEL=WHEEL))).findings == ()


@pytest.mark.parametrize(("python", "refused"), [("<3.12", True), (">=3.13", True), ("==3.12.*", False), ("?", False)])
def test_a_wheel_for_another_python_is_refused_whatever_its_name_says(python: str, refused: bool) -> None:
    judged = judge(wheel("acme", "1.0", python=python))
    assert [finding.rule for finding in judged.findings] == ["wheel-python"] * refused
    assert (judged.verdict == "rejected") is refused


def test_a_wheel_that_wants_what_mwaa_pins_otherwise_is_a_warning() -> None:
    judged = judge(
        wheel("acme", "1.0", "Celery<5", "celery<4 ; extra == 'old'", "celery<3 ; python_version < '3.8'", "??")
    )
    assert judged.verdict == "accepted"
    (finding,) = judged.findings
    assert (finding.rule, finding.severity) == ("wheel-dependency", "warning")
    assert "requires Celery<5, but MWAA pins" in finding.message


def test_a_wheel_that_is_damaged_in_the_zip_is_no_fault_of_the_wheel() -> None:
    content = patched(zip_of({NAME: CONTENT}, compression=zipfile.ZIP_STORED), b"PK\x01\x02", 16, b"\0\0\0\0")
    assert [finding.rule for finding in judge_bytes(content).findings] == ["damaged-member"]


def judge_bytes(content: bytes) -> Judgement:
    return check_plugins(Candidate("plugins.zip", len(content), content), AIRFLOW_3)


def test_metadata_at_the_end_of_a_large_wheel_is_found_and_elsewhere_it_is_left_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wheel_files, "_KEPT", 80_000)
    info = {"acme-1.0.dist-info/METADATA": METADATA + b"Requires-Python: <3\n", "acme-1.0.dist-info/WHEEL": WHEEL}
    data = {"acme/data.bin": bytes(range(256)) * 1000}
    at_the_end = zip_of(data | info, compression=zipfile.ZIP_STORED)
    in_front = zip_of(info | data, compression=zipfile.ZIP_STORED)
    assert [finding.rule for finding in judge((NAME, at_the_end)).findings] == ["wheel-python"]
    assert judge((NAME, in_front)).findings == ()


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_no_metadata_crashes_it(metadata: bytes, wheel_file: bytes) -> None:
    judge((NAME, of(METADATA=metadata, WHEEL=wheel_file)))
    judge((NAME, of(METADATA=METADATA + b"Requires-Dist: " + metadata, WHEEL=WHEEL)))
    judge((NAME, metadata))
