"""Zips that Python, zipimport and Info-ZIP's unzip would read differently are refused.

Which of them MWAA unpacks with is not said anywhere, and Airflow imports packed DAGs with zipimport.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.keys import placing_findings
from jetway.artifacts.packed_dags import check_packed_dags
from jetway.artifacts.plugins.plugins_zip import check_plugins

from .judging import AIRFLOW_3
from .zips import PLUGIN, patched, zip_of

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def plugins(content: bytes) -> Judgement:
    return check_plugins(Candidate("plugins.zip", len(content), content), AIRFLOW_3)


def packed_dags(content: bytes) -> Judgement:
    return check_packed_dags(Candidate("dags/a.zip", len(content), content), AIRFLOW_3, max_bytes=1024**2)


def errors(content: bytes) -> set[str]:
    """The rules that refuse a zip, as plugins.zip and as packed DAGs alike."""
    found = [
        {finding.rule for finding in judge(content).findings if finding.severity == "error"}
        for judge in (plugins, packed_dags)
    ]
    assert found[0] == found[1]
    return found[0]


def unicode_path(raw: bytes, name: str) -> bytes:
    """Info-ZIP's extra field for a path in Unicode, as it holds of a member with these bytes for a name."""
    value = b"\x01" + struct.pack("<I", zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(value)) + value


def member(name: str, extra: bytes) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.extra = extra
    return info


def only_local_extra(content: bytes, extra: bytes) -> bytes:
    """Put an extra field into the header of the first member and nowhere else."""
    length = struct.unpack_from("<H", content, 26)[0]
    changed = bytearray(content)
    changed[28:30] = struct.pack("<H", len(extra))
    changed[30 + length : 30 + length] = extra
    end = changed.rindex(END)
    changed[end + 16 : end + 20] = struct.pack("<I", struct.unpack_from("<I", changed, end + 16)[0] + len(extra))
    return bytes(changed)


@pytest.mark.parametrize("other", ["my_plugin.py", "../../evil.py", "notes.TXT"])
def test_a_second_name_in_an_extra_field_is_refused(other: str) -> None:
    content = zip_of([(member("notes.txt", unicode_path(b"notes.txt", other)), b"def f(:")])
    assert errors(content) == {"two-names"}


def test_a_second_name_in_the_members_own_header_only_is_refused() -> None:
    plain = zip_of({"notes.txt": b"def f(:"})
    assert errors(plain) == set()
    assert errors(only_local_extra(plain, unicode_path(b"notes.txt", "evil.py"))) == {"damaged-member"}


def test_a_folder_may_have_no_second_name_in_its_header() -> None:
    plain = zip_of({"notes/": b"", "notes/a.txt": b"1"})
    assert errors(plain) == set()
    assert errors(only_local_extra(plain, unicode_path(b"notes/", "evil.py"))) == {"damaged-member"}


@pytest.mark.parametrize("name", ["notes.txt", "größe.txt"])
def test_the_same_name_once_more_is_fine(name: str) -> None:
    assert errors(zip_of([(member(name, unicode_path(name.encode(), name)), b"1")])) == set()


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP's zip")
def test_what_info_zip_writes_of_a_name_with_umlauts_is_fine(tmp_path: Path) -> None:
    (tmp_path / "größe.txt").write_text("1")
    for options in ([], ["-UN=UTF8"], ["-0"], ["-fd"], ["-fz"]):
        target = tmp_path / f"made{''.join(options)}.zip"
        subprocess.run(["zip", "-q", *options, target, "größe.txt"], cwd=tmp_path, check=True)
        assert errors(target.read_bytes()) == set(), options


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize("name", ["a.py", "a.txt"])
def test_more_data_than_the_directory_says_are_refused(name: str, compression: int) -> None:
    """Python's zipfile stops at the size in the directory; unzip and zipimport do not."""
    shown, hidden = b"x = 1\n", b"import evil\n"
    content = zip_of({name: shown + hidden}, compression=compression)
    size, crc = struct.pack("<I", len(shown)), struct.pack("<I", zlib.crc32(shown))
    for signature, crc_at, size_at in ((LOCAL, 14, 22), (CENTRAL, 16, 24)):
        content = patched(patched(content, signature, size_at, size), signature, crc_at, crc)
    assert errors(content) == {"damaged-member"}


def test_fewer_data_than_the_directory_says_are_refused() -> None:
    content = zip_of({"a.txt": b"x" * 100})
    for signature, size_at in ((LOCAL, 22), (CENTRAL, 24)):
        content = patched(content, signature, size_at, struct.pack("<I", 200))
    assert errors(content) == {"damaged-member"}


@pytest.mark.parametrize(
    ("at", "value"),
    [(8, b"\0\0"), (14, b"\1\2\3\4"), (18, b"\1\0\0\0"), (22, b"\1\0\0\0"), (6, b"\0\x08"), (30, b"b")],
    ids=["method", "checksum", "packed", "size", "flags", "name"],
)
def test_a_header_that_says_otherwise_than_the_directory_is_refused(at: int, value: bytes) -> None:
    assert errors(patched(zip_of({"a.txt": b"x" * 100}), LOCAL, at, value)) == {"damaged-member"}


class Unseekable:
    """Makes zipfile write sizes behind the data."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)

    def flush(self) -> None:
        pass


def test_sizes_may_come_after_the_data() -> None:
    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:  # type: ignore[call-overload]
        made.writestr("a.txt", b"x" * 100)
    assert errors(out.content) == set()


def test_sizes_may_be_in_a_field_of_zip64(tmp_path: Path) -> None:
    target = tmp_path / "made.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made, made.open("a.txt", "w", force_zip64=True) as one:
        one.write(b"x" * 100)
    assert errors(target.read_bytes()) == set()


def with_zip64(content: bytes, *, place: Callable[[int], int] = int, **numbers: int) -> bytes:
    """Write the end of a zip as zip64; numbers replace those of the new record, or, with old_, of the old one."""
    end = content.rindex(END)
    count, directory, offset = struct.unpack_from("<HII", content, end + 10)
    new = {"there": count, "count": count, "directory": directory, "offset": offset}
    old = {"there": 0xFFFF, "count": 0xFFFF, "directory": 0xFFFFFFFF, "offset": 0xFFFFFFFF}
    for name, number in numbers.items():
        (old if name.startswith("old_") else new)[name.removeprefix("old_")] = number
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *new.values())
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, place(end), 1)
    return content[:end] + record + locator + END + struct.pack("<HHHHIIH", 0, 0, *old.values(), 0)


def test_the_end_of_a_zip64_is_read() -> None:
    content = zip_of({"a.txt": b"1", "b.txt": b"2"})
    assert errors(with_zip64(content)) == set()
    assert errors(with_zip64(content, old_there=2, old_count=2)) == set()


@pytest.mark.parametrize(
    "ends",
    [
        lambda content: with_zip64(content, place=lambda _end: 0),
        lambda content: with_zip64(content, place=lambda end: end - 1),
        lambda content: with_zip64(content, old_count=1),
        lambda content: with_zip64(content, old_offset=0),
        lambda content: with_zip64(content, old_directory=46),
        lambda content: with_zip64(content, there=1),
    ],
)
def test_two_ends_of_a_zip64_that_differ_are_refused(ends: Callable[[bytes], bytes]) -> None:
    assert errors(ends(zip_of({"a.txt": b"1", "b.txt": b"2"}))) == {"truncated"}


def test_a_decoy_record_does_not_lead_past_the_bound() -> None:
    """The locator names a small record; Python of before CVE-2025-8291 reads the one right before the locator."""
    content = zip_of({"a.txt": b"1"})
    end = content.rindex(END)
    decoy = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 46, end)
    longer = content[:end] + decoy + content[end:]
    assert errors(with_zip64(longer, place=lambda real: real - len(decoy), count=9_000_000)) == {"truncated"}


@pytest.mark.parametrize(
    "char", ["\x1b", "\n", "\x7f", "\x85", "\u202e", "\u2066", "\u200f", "\u2028", "\u061c", "\ufeff"]
)
def test_names_that_are_not_seen_as_they_are_are_refused(char: str) -> None:
    assert errors(zip_of({f"a{char}b.txt": b"1"})) == {"unsafe-path"}
    (finding,) = placing_findings(f"dags/a{char}b.py", 1, f"dags/a{char}b.py")
    assert finding.rule == "unsafe-key"


def test_letters_of_every_script_are_names() -> None:
    for name in ("größe.py", "作业.py", "ניסוי.py", "a b.py", "a\u200cb.py"):
        assert placing_findings(f"dags/{name}", 1, f"dags/{name}") == []
        assert errors(zip_of({f"{name}.txt": b"1"})) == set()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=5000), st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]), st.integers(1, 3))
def test_what_zipfile_writes_is_read_back(content: bytes, compression: int, repeats: int) -> None:
    assert errors(zip_of({"a.txt": content * repeats, "b/": b"", "b/c.txt": content}, compression=compression)) == set()


@pytest.mark.parametrize("size", [1024**2 - 1, 1024**2, 1024**2 + 1, 3 * 1024**2])
def test_members_of_several_pieces_are_read(size: int) -> None:
    for content in (bytes(size), bytes(range(256)) * (size // 256)):
        for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            assert errors(zip_of({"a.txt": content, "b.py": PLUGIN}, compression=compression)) == set()
