"""`make conformance` asks, cleans up, refuses; and its page names code that is there. moto answers in AWS's place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.unit.cli.moto_server import moto_server
from tests.unit.mwaa_server import MwaaServer
from tests.unit.sample_events import ROOT
from tools.aws.conformance import __main__ as command
from tools.aws.conformance.ground import PREFIX, Ground
from tools.aws.conformance.questions import OF_AN_ENVIRONMENT, QUESTIONS

PAGE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
ROOTS = {"jetway": "layers/jetway/jetway", "jetway_cli": "cli/jetway_cli", "tools": "tools"}
REGION = "eu-central-1"
NOT_IN_MOTO = {"simulation-form", "route-settings"}


def rows(title: str) -> list[list[str]]:
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    found = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:2] == "| "
    ]
    return found[1:]


def test_the_page_has_every_question_and_no_other() -> None:
    assert [row[0].strip("` ") for row in rows("Questions that the script answers")] == [*QUESTIONS, *OF_AN_ENVIRONMENT]


def test_every_question_names_code_that_is_there_and_what_follows_from_either_answer() -> None:
    for row in [*rows("Questions that the script answers"), *rows("Questions that you answer manually")]:
        assert len(row) == 4
        assert all(row), row
        modules = re.findall(r"`([\w.]+)`", row[2])
        assert modules, row
        for name in modules:
            root, _, rest = name.partition(".")
            place = ROOT / ROOTS[root] / rest.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__init__.py").exists(), name


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "ENDPOINT":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", REGION)
    with mock_aws(), moto_server() as url:
        yield url


def left() -> list[str]:
    """Names of all that begins with the prefix."""
    make: Any = boto3.client
    s3, sqs, events, iam = (make(name, region_name=REGION) for name in ("s3", "sqs", "events", "iam"))
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    names += sqs.list_queues().get("QueueUrls", [])
    names += [rule["Name"] for rule in events.list_rules()["Rules"]]
    names += [role["RoleName"] for role in iam.list_roles()["Roles"]]
    return [name for name in names if PREFIX in name]


def test_it_asks_everything_and_leaves_nothing(aws: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--endpoint", aws, "--folder", str(tmp_path)]) == 0, capsys.readouterr()
    (file,) = tmp_path.iterdir()
    answers = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert answers.keys() == QUESTIONS.keys()
    assert {name for name, answer in answers.items() if "could not be asked" in answer} == NOT_IN_MOTO
    assert "account 123456789012" in file.read_text(encoding="utf-8")
    assert left() == []


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(143)])
def test_interrupted_it_takes_away_what_it_made_and_writes_what_it_has(
    aws: str, tmp_path: Path, end: BaseException
) -> None:
    ground = Ground(boto3.Session(region_name=REGION), "1", aws)
    made: list[list[str]] = []

    def interrupted(here: Ground) -> str:
        here.bucket("one")
        _, arn = here.queue("two")
        here.rule("three", {"source": ["x"]}, arn)
        here.acting_as("four", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
        here.client("s3").put_object(Bucket=f"{here.name}-one", Key="x", Body=b"")
        made.append(left())
        raise end

    answers, was = command.ask_all(ground, {"first": lambda _: "yes", "second": interrupted, "third": lambda _: "no"})
    assert (answers, was, ground.left) == ({"first": "yes"}, True, [])
    assert len(made[0]) == 4
    assert left() == []


def test_what_cannot_be_taken_away_is_told_and_the_rest_goes(aws: str) -> None:
    ground = Ground(boto3.Session(region_name=REGION), "1", aws)
    ground.queue("first")
    bucket = ground.bucket("second")
    boto3.client("s3", region_name=REGION).delete_bucket(Bucket=bucket)
    ground.close()
    assert [name.partition(":")[0] for name in ground.left] == [f"bucket {bucket}"]
    assert left() == []


def test_of_an_environment_it_asks_what_there_is_to_ask(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    with MwaaServer(lambda _asked: (200, {"dags": []})) as server:
        ground = Ground(boto3.Session(region_name=REGION), "1", None, "acme")
        monkeypatch.setenv("AWS_ENDPOINT_URL_MWAA", server.url)
        found, _ = command.ask_all(ground, {name: OF_AN_ENVIRONMENT[name] for name in ("rest-throttle", "last-update")})
        assert re.fullmatch(r"40 calls in \d.\d s: .*\d+ done.*", found["rest-throttle"])
        assert "LastUpdate" in found["last-update"]
        assert "not asked: give --update" in OF_AN_ENVIRONMENT["update-rights"](ground)
        assert server.updates == []


@pytest.mark.parametrize(
    ("environment", "arguments", "said"),
    [
        ({"AWS_REGION": REGION}, [], "no AWS credentials"),
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}, [], "no Region"),
        (
            {
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            },
            [],
            "leads to a stand-in",
        ),
    ],
)
def test_it_refuses_without_credentials_a_region_or_aws(
    environment: dict[str, str],
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "ENDPOINT":
            monkeypatch.delenv(name)
    nothing = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), os.devnull)
    for name, value in {**nothing, "AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
        monkeypatch.setenv(name, value)
    assert command.main([*arguments, "--folder", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_question_of_an_environment_needs_one(aws: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--endpoint", aws, "--only", "rest-throttle"]) == 2
    assert "Give --environment NAME" in capsys.readouterr().err
