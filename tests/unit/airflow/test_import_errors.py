"""Whose import errors are read: the schedulers', over REST, wherever REST reaches the environment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from jetway.airflow import ImportProblem
from jetway.airflow.environment import EnvironmentFacts
from jetway.airflow.import_errors import FoundErrors, ImportErrors
from jetway.errors import (
    AnswerLostError,
    CommandRejectedError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    JetwayError,
    PermissionMissingError,
    TransientError,
)

if TYPE_CHECKING:
    from jetway.airflow import AirflowLists

OF_THE_DATABASE, OF_THE_WEB_SERVER = [ImportProblem("a.py", "db")], [ImportProblem("b.py", "own parse")]
DENIED = PermissionMissingError("no", action="airflow:InvokeRestApi")


@dataclass
class Client:
    """Either transport's client, as far as it is asked."""

    found: list[ImportProblem]
    error: JetwayError | None = None
    asked: int = 0

    def list_import_errors(self) -> list[ImportProblem]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.found


@dataclass
class Stage:
    """An environment that both clients reach, until a test says otherwise."""

    current: EnvironmentFacts = field(
        default_factory=lambda: EnvironmentFacts("acme", "AVAILABLE", "2.11.0", "bucket", "dags")
    )
    rest: Client = field(default_factory=lambda: Client(OF_THE_DATABASE))
    cli: Client = field(default_factory=lambda: Client(OF_THE_WEB_SERVER))

    def facts(self) -> EnvironmentFacts:
        return self.current

    def is_(self, **changes: str) -> None:
        self.current = replace(self.current, **changes)  # type: ignore[arg-type]

    def read(self) -> FoundErrors:
        def client(which: Client) -> AirflowLists:
            return which  # type: ignore[return-value]

        return ImportErrors(
            self,  # type: ignore[arg-type]
            rest=lambda: client(self.rest),
            cli=lambda: client(self.cli),
        ).read()


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize("version", ["2.4.3", "2.11.0", "3.0.6", "3.3.1"])
@pytest.mark.parametrize("mode", ["PUBLIC_ONLY", "PRIVATE_ONLY", "PUBLIC_AND_PRIVATE"])
def test_rest_is_read_and_judges(stage: Stage, version: str, mode: str) -> None:
    stage.is_(airflow_version=version, webserver_access_mode=mode)
    assert stage.read() == FoundErrors(OF_THE_DATABASE, judges=True)
    assert stage.cli.asked == 0


OUT_OF_REACH = [
    EnvironmentUnavailableError("does not support InvokeRestApi yet"),
    AnswerLostError("no answer: from outside of the VPC"),
    CommandRejectedError("MWAA refuses GET /importErrors"),
]


@pytest.mark.parametrize("error", OUT_OF_REACH, ids=lambda error: error.reason)
@pytest.mark.parametrize(
    ("version", "mode", "judges"),
    [
        ("2.11.0", "PRIVATE_ONLY", False),
        ("2.11.0", "PUBLIC_ONLY", True),
        ("3.3.1", "PRIVATE_ONLY", True),  # its command reads the database
        ("3.3.1", "PUBLIC_ONLY", True),
    ],
)
def test_where_rest_does_not_reach_the_command_is_asked_and_judges_where_it_can(
    stage: Stage, error: JetwayError, version: str, mode: str, judges: bool
) -> None:
    stage.is_(airflow_version=version, webserver_access_mode=mode)
    stage.rest.error = error
    assert stage.read() == FoundErrors(OF_THE_WEB_SERVER, judges=judges)


@pytest.mark.parametrize(("mode", "judges"), [("PRIVATE_ONLY", False), ("PUBLIC_ONLY", True)])
def test_before_rest_there_is_the_command(stage: Stage, mode: str, judges: bool) -> None:
    stage.is_(airflow_version="2.4.2", webserver_access_mode=mode)
    assert stage.read() == FoundErrors(OF_THE_WEB_SERVER, judges=judges)
    assert stage.rest.asked == 0


@pytest.mark.parametrize("error", [DENIED, EnvironmentBusyError("throttled")], ids=lambda error: error.reason)
def test_a_denial_and_a_throttle_are_no_matter_of_the_way(stage: Stage, error: JetwayError) -> None:
    stage.rest.error = error
    with pytest.raises(type(error)):
        stage.read()
    assert stage.cli.asked == 0


@pytest.mark.parametrize("error", OUT_OF_REACH, ids=lambda error: error.reason)
def test_when_neither_answers_the_trouble_is_the_environments(stage: Stage, error: JetwayError) -> None:
    stage.rest.error, stage.cli.error = error, EnvironmentBusyError("503")
    with pytest.raises(TransientError) as caught:
        stage.read()
    assert caught.value is (error if isinstance(error, TransientError) else stage.cli.error)


def test_an_environment_that_cannot_serve_is_not_asked(stage: Stage) -> None:
    stage.is_(status="ROLLING_BACK")
    with pytest.raises(EnvironmentUnavailableError, match="ROLLING_BACK"):
        stage.read()
    assert (stage.rest.asked, stage.cli.asked) == (0, 0)
