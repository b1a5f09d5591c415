"""Import errors as the schedulers have them: over REST, whatever the transport, where REST reaches the environment.

REST reads the database, on Airflow 2 and 3. The command line of Airflow 3 does too; that of Airflow 2 parses the dags
folder itself, in the web server's container. A private web server does not reach PyPI, so it may lack packages that
schedulers and workers have: what it cannot import there says nothing of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway.airflow.environment import not_available
from jetway.errors import (
    AnswerLostError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    JetwayError,
    PermanentError,
    TransientError,
)
from jetway.observability import logger

if TYPE_CHECKING:
    from jetway.airflow import AirflowLists, ImportProblem
    from jetway.airflow.environment import Environment, EnvironmentFacts

# https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html
_FIRST_WITH_REST = (2, 4, 3)
# What an environment answers that REST does not reach, or that has none.
_OUT_OF_REACH = (AnswerLostError, EnvironmentUnavailableError, PermanentError)


@dataclass(frozen=True, slots=True)
class FoundErrors:
    """What was found.

    Attributes:
        judges: whether an error among them, or a DAG that is missing, proves that something does not work.
    """

    errors: Sequence[ImportProblem]
    judges: bool = True


class ImportErrors:
    """Reads the import errors of one environment."""

    def __init__(
        self, environment: Environment, *, rest: Callable[[], AirflowLists], cli: Callable[[], AirflowLists]
    ) -> None:
        """Take the parts; nothing is called.

        Args:
            environment: tells version, status and access mode.
            rest, cli: return the clients; called when they are needed.
        """
        self._environment = environment
        self._rest = rest
        self._cli = cli

    def read(self) -> FoundErrors:
        """Ask.

        Raises:
            TransientError: Airflow cannot be asked now.
        """
        facts = self._environment.facts()
        if not facts.may_serve:
            raise not_available(facts)
        if facts.version < _FIRST_WITH_REST:
            return self._by_command(facts)
        try:
            return FoundErrors(self._rest().list_import_errors())
        except EnvironmentBusyError:
            raise
        except _OUT_OF_REACH as exc:
            return self._without_rest(facts, exc)

    def errors(self) -> Sequence[ImportProblem]:
        """Ask, for what is only compared with a later answer.

        Raises:
            TransientError: as `read`.
        """
        return self.read().errors

    def _without_rest(self, facts: EnvironmentFacts, exc: JetwayError) -> FoundErrors:
        try:
            found = self._by_command(facts)
        except JetwayError:
            if isinstance(exc, TransientError):
                raise exc from None  # neither answers: it is no matter of the way
            raise
        logger.info("import errors over the command line", extra={"because": str(exc), "judges": found.judges})
        return found

    def _by_command(self, facts: EnvironmentFacts) -> FoundErrors:
        judges = facts.major >= 3 or facts.webserver_access_mode != "PRIVATE_ONLY"
        return FoundErrors(self._cli().list_import_errors(), judges)
