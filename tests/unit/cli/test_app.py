"""How every command ends."""

from __future__ import annotations

import re

import click
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from click.testing import CliRunner

from jetway.errors import InvalidConfError
from jetway.ledger import LedgerUnavailableError
from jetway_cli.app import Translating, cli
from tests.unit.sample_events import ROOT


def denied(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetItem")


@pytest.mark.parametrize(
    ("exc", "exit_code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (denied("AccessDeniedException", "no"), 3, "Ask for GetItem"),
        (denied("com.amazon.coral#AccessDenied", "no"), 3, "AWS refused GetItem"),
        (denied("ExpiredToken", "The token has expired."), 3, "Sign in again"),
        (NoCredentialsError(), 3, "No AWS credentials found"),
        (InvalidConfError("conf is too large."), 2, "conf is too large."),
        (LedgerUnavailableError("Query failed."), 3, "Try again later."),
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
