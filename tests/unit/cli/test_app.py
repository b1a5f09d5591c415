"""How every command ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError, InvalidRegionError, NoCredentialsError
from click.testing import CliRunner, Result

from jetway.errors import InvalidConfError
from jetway.ledger import LedgerUnavailableError
from jetway_cli.app import Translating, cli
from tests.unit.cli.conftest import Cloud
from tests.unit.sample_events import ROOT


def denied(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetItem")


@pytest.mark.parametrize(
    ("exc", "exit_code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (denied("AccessDeniedException", "no"), 3, "Request GetItem"),
        (denied("com.amazon.coral#AccessDenied", "no"), 3, "AWS rejected GetItem"),
        (denied("ExpiredToken", "The token has expired."), 3, "Sign in again"),
        (NoCredentialsError(), 3, "No AWS credentials found"),
        (InvalidConfError("conf is too large."), 2, "conf is too large."),
        (LedgerUnavailableError("Query failed."), 3, "Query failed. Try again later."),
        (LedgerUnavailableError("Query failed: no"), 3, "Query failed: no. Try again later."),
        (denied("Throttling", "Slow down.."), 3, "AWS rejected GetItem (Throttling): Slow down."),
        (FileNotFoundError(2, "No such file", "x.yaml"), 2, "x.yaml: No such file."),
        (InvalidRegionError(region_name="a b"), 2, "a b"),
    ],
)
def test_a_command_ends_in_one_sentence_and_an_exit_code(exc: BaseException, exit_code: int, said: str) -> None:
    @click.group(cls=Translating)
    def group() -> None:
        """A group."""

    @group.command()
    def fail() -> None:
        raise exc

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == exit_code
    assert said in result.stderr
    assert result.stderr.count("\n") == (1 if said else 0)


def test_help_lists_the_commands_and_the_exit_codes() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    for word in ("run", "redrive", "events", "triggers", "dry-run", "Exit codes"):
        assert word in result.stdout


def test_an_unknown_option_is_wrong_use() -> None:
    assert CliRunner().invoke(cli, ["run", "d", "--cnof", "{}"]).exit_code == 2


def test_no_lambda_package_holds_it() -> None:
    shipped = (ROOT / "layers" / "jetway" / "requirements.txt").read_text()
    assert not re.search(r"^(click|rich|boto3)==", shipped, re.MULTILINE)
    code = [*(ROOT / "layers").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    assert code
    assert not [path for path in code if "jetway_cli" in path.read_text(encoding="utf-8")]


def test_a_misspelt_stack_is_told_which_there_are(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    result = jetway("events", "--stack", "jetwey")
    assert (result.exit_code, "There are no other Jetway stacks." in result.stderr) == (3, True)
    cloud.outputs["DropBucketName"] = "drop"
    result = jetway("events", "--stack", "jetwey")
    assert "Stack 'jetwey' does not exist in eu-central-1. Did you mean 'jetway'?" in result.stderr
    assert "--region" in result.stderr
    assert "Jetway stacks there: jetway." in jetway("events", "--stack", "production").stderr


def test_a_misspelt_profile_is_told_which_is_near(
    jetway: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile production]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    result = jetway("events", "--profile", "prodution")
    assert (result.exit_code, "Did you mean 'production'?" in result.stderr) == (3, True)


def test_a_region_that_is_none_is_told_where_nothing_answers(cloud: Cloud, jetway: Callable[..., Result]) -> None:
    # Its name is in the address that botocore makes of it; this one is refused at once and needs no name server.
    where = ("--region", "eu-centrl-1", "--endpoint-url", "http://127.0.0.1:1/eu-centrl-1")
    result = jetway("events", *where)
    assert result.exit_code == 3
    assert "'eu-centrl-1' is not an AWS Region that this command knows. Did you mean 'eu-central-1'?" in result.stderr
