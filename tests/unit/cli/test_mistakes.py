"""Every command with arguments that can never work: a sentence on stderr, an exit code that says so, no answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jetway_cli.app import cli
from tests.unit.cli.conftest import Cloud

LONG = "x" * 10_000

# Mistakes with the options that say which stack is meant; {} in the others is the folder of `files`.
STACK = [
    ["--stack", ""],
    ["--stack", "nope"],
    ["--stack", LONG],
    ["--stack", "a b"],
    ["--region", ""],
    ["--region", "no such region!"],
    ["--profile", "nobody"],
    ["--profile", ""],
    ["--endpoint-url", ""],
    ["--endpoint-url", "nonsense"],
    ["--endpoint-url", "http://[::1"],
    ["--stack"],
    ["--nope"],
    ["--json=yes"],
    ["one", "two", "three"],
    ["--stack", "a\0b"],
    ["--stack", "\udcff"],
]
API = [
    ["--api-url", url] for url in ("", "nonsense", "api.example.com", "ftp://x", "http://", "http://x y", "http://x:y")
]
MISTAKES: dict[str, list[list[str]]] = {
    "run": [
        [],
        *(["orders", *mistake] for mistake in [*STACK, *API]),
        [""],
        [" "],
        ["a b"],
        ["dags/orders.py"],
        [".."],
        [LONG],
        ["a\0b"],
        ["\udcff"],
        *(
            ["orders", "--conf", conf]
            for conf in (
                *("", "{", "[1]", "1", "null", "{day: 1}", '{"a": NaN}', '{"a": "\\u0000"}', "[" * 100_000),
                *("@", "@{}/none.json", "@{}", "@{}/latin1", "@{}/broken.json", "@-"),
                '{"a": "' + "x" * 70_000 + '"}',
            )
        ),
        *(["orders", "--run-id", one] for one in ("", "a b", "scheduled__x", "..", "é", LONG)),
        *(["orders", "--logical-date", one] for one in ("", "tomorrow", "2026-13-01", "1d")),
        *(["orders", "--idempotency-key", one] for one in ("", "é", "a\nb", LONG)),
        *(["orders", "--timeout", one] for one in ("", "soon", "-5m", "5", "5 parsecs", "9" * 9 + "d1")),
        ["--wait", "orders"],
        ["orders", "--wait=done"],
        ["orders", "--dry-run", "--wait"],
        ["orders", "--dry-run", "--no-check"],
    ],
    "wait": [
        [],
        ["orders"],
        *(["orders", "r1", *mistake] for mistake in [*STACK, *API]),
        ["", "r1"],
        ["orders", ""],
        ["a b", "r1"],
        ["orders", "a b"],
        ["orders", "a/b"],
        ["orders", LONG],
        ["orders", "r1", "--until", "done"],
        ["orders", "r1", "--timeout", "soon"],
    ],
    "doctor": [
        *STACK,
        *(["--probe", one] for one in ("", " ", "a b", "a/b", "..", "\udcff", LONG)),
        *(["--timeout", one] for one in ("", "soon", "-5m", "5")),
        *API,
    ],
    "redrive": [
        *STACK,
        *(["--reason", one] for one in ("", "dag-not-fund", "DAG-NOT-FOUND", "held", LONG)),
        *(["--trigger", one] for one in ("", "a b", "triggers/x.yaml", LONG)),
        *(["--since", one] for one in ("", "yesterday", "25:00", "2026-13-01")),
        ["--force", ""],
        ["--force"],
    ],
    "events": [
        *STACK,
        *(["--trigger", one] for one in ("", "a b", "triggers/x.yaml", LONG)),
        *(["--since", one] for one in ("", "yesterday", "25:00", "2026-13-01", "9" * 9 + "d")),
        ["--follow", "--trigger", ""],
    ],
    "audit": [
        *STACK,
        *(["--since", one] for one in ("", "yesterday", "25:00", "2026-13-01", "9" * 9 + "d")),
        ["orders"],
    ],
    "triggers": [*STACK, ["orders"], ["--trigger", "orders"], ["triggers/orders.yaml"], ["-x"]],
    "sync": [*STACK, ["dags/orders.py"], ["--now=yes"], ["--yes"], ["-x"]],
    "uninstall": [*STACK, ["jetway"], ["--yes=no"], ["--force"], ["-x"]],
    "updates": [*STACK, ["requirements.txt"], ["--begin"], ["--json=yes"], ["-x"]],
    "workers": [
        *STACK,
        *(["--until", one] for one in ("", "yesterday", "25:00", "9" * 9 + "d")),
        ["--watch", "--until", "1h"],
    ],
    "ui": [
        *STACK,
        *API,
        *(["--port", one] for one in ("", "80", "99999", "abc", "-1")),
    ],
    "dry-run": [
        [],
        ["{}/event.json"],
        ["--triggers", "{}/good"],
        ["{}/event.json", "--triggers", ""],
        ["{}/event.json", "--triggers", "{}/none"],
        ["{}/event.json", "--triggers", "{}/event.json"],
        ["{}/event.json", "--triggers", "{}/empty"],
        ["{}/event.json", "--triggers", "a\0b"],
        ["{}/event.json", "--triggers", LONG],
        ["{}/event.json", "--triggers", "{}/good", "--nope"],
        ["{}/event.json", "--triggers", "{}/good", "--json=yes"],
        ["{}/event.json", "more", "--triggers", "{}/good"],
        *(
            [event, "--triggers", "{}/good"]
            for event in (
                *("", "{}/none.json", "{}/good", "{}/latin1", "{}/broken.json", "{}/list.json", "{}/deep.json"),
                *("{}/lacking.json", "-", "a\0b", "\udcff", LONG, "{}/nothing"),
            )
        ),
    ],
    "check": [
        [],
        ["{}/none"],
        [LONG],
        ["a\0b"],
        ["{}/good", "--nope"],
        ["{}/good", "--format", "xml"],
        ["{}/good", "--format", ""],
        ["{}/good", "--format"],
        *(["{}/good", "--airflow-version", one] for one in ("", "1.10.15", "3", "latest", "3.3.1.1", LONG)),
        *(["{}/good", "--requirements", one] for one in ("", "{}/none", "{}/good", "a\0b", LONG)),
        *(["{}/good", "--airflow-python", one] for one in ("{}/none", "{}/good", "{}/event.json", "a\0b")),
        ["{}/good", "--load=yes"],
    ],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and folders, most of them not what is asked for."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("good", "empty"):
        (folder / name).mkdir()
    (folder / "good" / "orders.yaml").write_text("dag: d\non: {event: {source: [acme]}}\n")
    (folder / "event.json").write_text('{"source": "acme", "detail-type": "x", "detail": {}}')
    (folder / "broken.json").write_text("{")
    (folder / "list.json").write_text("[]")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "lacking.json").write_text('{"source": "acme"}')
    (folder / "nothing").write_text("")
    (folder / "latin1").write_bytes('{"who": "é"}'.encode("latin-1"))
    return folder


def test_every_command_is_in_the_table() -> None:
    assert cli.commands.keys() == MISTAKES.keys()
    assert min(map(len, MISTAKES.values())) >= 20


@pytest.mark.parametrize("command", sorted(MISTAKES))
def test_no_mistake_ends_in_a_traceback_or_looks_like_an_answer(
    cloud: Cloud, files: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cloud.outputs
    monkeypatch.chdir(files / "empty")
    wrong = []
    for mistake in MISTAKES[command]:
        arguments = [argument.replace("{}", str(files)) for argument in mistake]
        result = CliRunner().invoke(cli, [command, *arguments], input="", prog_name="jetway")
        last = result.stderr.rstrip().rpartition("\n")[2]
        if (
            not isinstance(result.exception, SystemExit)
            or result.exit_code not in {1, 2, 3}
            or "Traceback" in result.stderr
            or result.stdout
            or len(last) < 15
            or ".." in last.replace("...", "").replace("'..'", "")
        ):
            shown = [argument[:60] for argument in mistake]
            wrong.append((shown, result.exit_code, result.exception, result.stdout[:80], last[:200]))
    assert not wrong
    assert not cloud.calls


def test_bytes_that_are_not_utf_8_are_told_by_the_program_itself(cloud: Cloud) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C.UTF-8"}
    command: list[str | bytes] = [sys.executable, "-m", "jetway_cli", "run", b"\xff\xfe"]
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "An argument is not UTF-8" in result.stderr
    assert "Traceback" not in result.stderr
