"""Every error that Jetway raises on purpose; a dot shows the module of one that lives with what it carries or tells.

    JetwayError
    ├── PermanentError                      the same input will fail the same way: dead letter, reject
    │   ├── InvalidRequestError             a dag_id, run id or message that Airflow could never take
    │   │   ├── InvalidConfError            conf that is no JSON object, too large, or against the DAG's params
    │   │   └── workers.floors.FloorsError  floors.yaml is not as it should be
    │   ├── EventTooOldError                it could not be started within its time
    │   │   └── DeniedTooLongError          ... for want of a right
    │   ├── UnknownEventError               an event of a shape that Jetway does not know
    │   │   └── NewerFormatError            a message or an item that a newer version of Jetway has written
    │   ├── LoopError                       too many runs in a row, each started by the event of the one before
    │   ├── DagNotFoundError                Airflow has no such DAG (yet)
    │   ├── DagPausedError                  the DAG is paused, and the trigger wants no run of a paused DAG
    │   ├── aws.crashes.CrashedError        it has ended the function that worked on it, three times
    │   ├── airflow.RunAlreadyExistsError   the run is there: a look-up has seen it
    │   └── CommandRejectedError            Airflow refused the command for another reason
    │       ├── LogicalDateTakenError              another run of the DAG has the date that was asked for
    │       ├── airflow.cli_errors.DuplicateError    Airflow says that such a run exists; stays within airflow
    │       └── airflow.cli_errors.RunNotFoundError  Airflow has no such run; stays within airflow
    └── TransientError                      worth another try, later
        ├── EnvironmentBusyError            too many CLI commands at once (503), or REST calls a second (throttled)
        ├── EnvironmentUnavailableError     not AVAILABLE, unknown, unreachable, or 5xx
        │   ├── airflow.rest_responses.NoRestApiError    it must be updated before it can do InvokeRestApi
        │   └── updates.apply.NotBegunError       UpdateEnvironment certainly did nothing
        ├── PermissionMissingError          a role lacks a right: held and loud, for waiting alone mends nothing
        ├── TokenRefusedError               401/403 with a token just minted
        ├── AnswerLostError                 sent, but no answer: the run may or may not exist
        │   └── dispatch.not_found.QuestionRefusedError  Airflow refuses to say whether it does, or dies of the question
        ├── RunCollisionError               another run of the DAG began at the same moment (Airflow 2)
        ├── OutOfTurnError                  the stack's own budget of REST calls is used up for now
        ├── OutOfTimeError                  the invocation ends before the work could
        ├── SiblingsExpectedError           a dropped file lacks another that may be on its way
        ├── LoadUnavailableError            no DAG file can be loaded now: import_dag is throttled or does not work
        ├── ledger.LedgerUnavailableError   DynamoDB did not answer for the ledger, throttled or refused
        ├── events.outgoing.EventsOutError       EventBridge did not take an event of ours
        ├── run_monitoring.state_table.OvertakenError      another invocation looks for ended runs, and is further on
        ├── run_monitoring.notifications.AlarmNotSentError     SNS did not take an alarm
        ├── promotion.state_table.StandingChangedError another invocation wrote the item meanwhile
        ├── promotion.verdict_tag.OverwrittenError     an upload took the place of what was tagged
        └── batches.table.ContendedError    other collectors were faster, time and again

An error's text is for people: what was wrong, where, and what to do. `reason` is the stable word that
goes into dead letters, metrics and logs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class JetwayError(Exception):
    """Base of all errors that Jetway raises on purpose."""

    reason: ClassVar[str] = "error"


class PermanentError(JetwayError):
    """The same input will fail the same way; a retry is a waste."""

    reason = "permanent"


class InvalidRequestError(PermanentError):
    """A dag_id, run id or message that Airflow could never take."""

    reason = "invalid-request"


class InvalidConfError(InvalidRequestError):
    """conf is not a JSON object, is too large, or is refused by the DAG's own params."""

    reason = "invalid-conf"


class EventTooOldError(PermanentError):
    """The event could not be started within its time."""

    reason = "event-too-old"


class DeniedTooLongError(EventTooOldError):
    """The event could not be started within its time, because a right was missing."""

    reason = "permission-missing"


class UnknownEventError(PermanentError):
    """The event has a shape that Jetway does not know."""

    reason = "unknown-event"


class NewerFormatError(UnknownEventError):
    """A newer version of Jetway has written the message or the item: its format is not known here."""

    reason = "newer-format"


class LoopError(PermanentError):
    """Too many runs in a row have each been started by the event of the one before: most likely they never end."""

    reason = "loop"


class DagNotFoundError(PermanentError):
    """Airflow has no such DAG (never uploaded, not parsed yet, an import error), or no file that makes it any more."""

    reason = "dag-not-found"


class CommandRejectedError(PermanentError):
    """Airflow refused the command for a reason that has no error of its own."""

    reason = "command-rejected"


class LogicalDateTakenError(CommandRejectedError):
    """Airflow takes one run of a DAG per logical date, and another run has this one."""

    reason = "logical-date-taken"


class DagPausedError(PermanentError):
    """The DAG is paused, and its trigger says `when_paused`: wait, skip or dead-letter."""

    reason = "dag-paused"


class TransientError(JetwayError):
    """Worth another try, later; `shortest_wait` seconds later at the least, `longest_wait` at the most."""

    reason = "transient"
    shortest_wait: ClassVar[float] = 0.0
    longest_wait: ClassVar[float] = 60.0


class EnvironmentBusyError(TransientError):
    """The web server runs as many CLI commands as it can (503), or REST calls come too fast for AWS."""

    reason = "environment-busy"


class EnvironmentUnavailableError(TransientError):
    """The environment is not AVAILABLE, is unknown, unreachable, or answers 5xx; or GetEnvironment is throttled."""

    reason = "environment-unavailable"

    def __init__(self, message: str, status: str | None = None) -> None:
        """Take the message, and the environment's status when that is the reason."""
        super().__init__(message)
        self.status = status


class PermissionMissingError(TransientError):
    """A role or a policy lacks a right: nothing was done, and no event or file is at fault.

    Waiting mends it no more than a retry does; a person does. So it is held like trouble that passes, asked for seldom,
    and told where people look (`jetway.events.denials`).
    """

    reason = "permission-missing"
    shortest_wait = 900.0  # a right that is missing is seldom there in a minute
    longest_wait = 900.0

    def __init__(self, message: str, *, action: str, resource: str | None = None) -> None:
        """Take the message, the action that is missing, such as airflow:GetEnvironment, and on what, where known."""
        super().__init__(message)
        self.action = action
        self.resource = resource


class TokenRefusedError(TransientError):
    """401 or 403 with a token that was just minted."""

    reason = "token-refused"


class AnswerLostError(TransientError):
    """A run was asked for, and no answer says whether it was made: it may or may not exist."""

    reason = "answer-lost"

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        """Take the message, and whether Airflow could not be asked for the run afterwards: then it is not this DAG."""
        super().__init__(message)
        self.unreachable = unreachable


class RunCollisionError(TransientError):
    """Another run of the same DAG began at the same moment, and Airflow 2 takes one run per date."""

    reason = "run-collision"


class OutOfTurnError(TransientError):
    """The calls a second that the stack makes of Airflow's REST API at most are used up for now."""

    reason = "out-of-turn"
    longest_wait = 15.0


class OutOfTimeError(TransientError):
    """The invocation ends before the work could."""

    reason = "out-of-time"
    longest_wait = 1.0


class SiblingsExpectedError(TransientError):
    """A dropped file fails to load, and what it lacks may be on its way."""

    reason = "siblings-expected"
    longest_wait = 5.0

    def __init__(self, message: str, waited: timedelta = timedelta()) -> None:
        """Take the message, and how long the file has waited since it was dropped."""
        super().__init__(message)
        self.waited = waited


class LoadUnavailableError(TransientError):
    """No DAG file can be loaded now: import_dag is throttled, missing or does not work."""

    reason = "load-unavailable"
