"""What MWAA says of the environment itself (GetEnvironment), remembered for a while."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import (
    AnswerLostError,
    EnvironmentBusyError,
    EnvironmentUnavailableError,
    JetwayError,
    PermissionMissingError,
    TokenRefusedError,
    TransientError,
)

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient

# UPDATE_FAILED is usable: MWAA has gone back to the previous state.
# https://docs.aws.amazon.com/mwaa/latest/userguide/troubleshooting.html
USABLE_STATUSES = frozenset({"AVAILABLE", "UPDATE_FAILED"})

# While workers end their tasks (GRACEFUL, twelve hours at most), schedulers and web server may serve all the time. Not
# tried while ROLLING_BACK or CREATING_SNAPSHOT: a run that is made then may be lost with the database that comes back.
# https://docs.aws.amazon.com/mwaa/latest/API/API_UpdateEnvironment.html
UPDATING = "UPDATING"
SERVES_FOR = 15.0  # seconds after a question during which none is asked before the next run

# https://docs.aws.amazon.com/mwaa/latest/API/API_Environment.html
_PASSING_STATUSES = frozenset({"CREATING", "UPDATING", "ROLLING_BACK", "CREATING_SNAPSHOT", "MAINTENANCE", "PENDING"})

# The call certainly did nothing: a right is missing, the call came too often, or it did not reach MWAA.
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})
_NO_WAY = frozenset({"EndpointConnectionError", "ConnectTimeoutError"})

# What MWAA itself asks of S3, EC2 or KMS in its caller's name it also refuses with a ValidationException.
# One that repeats what it was given may have any word in it.
_REPEATS = re.compile(r"\d+ validation errors? detected")
_OF_A_RIGHT = re.compile(r"not authori[sz]ed|access (?:is |was )?denied|permissions?\b|explicit deny", re.IGNORECASE)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_ACTION = re.compile(r"\b(?:perform:? |permissions? |action )\W?([a-z0-9-]+:[A-Z][A-Za-z]+)")
_RESOURCE = re.compile(r"\bon resource:? (\S+)")
_LONGEST_WORDS = 500

_OF_THE_WEB_SERVER = (EnvironmentBusyError, EnvironmentUnavailableError, TokenRefusedError)

# CPython of each Airflow version on MWAA: https://docs.aws.amazon.com/mwaa/latest/userguide/airflow-versions.html
_FIRST_ON_PYTHON_3_12 = (2, 11)


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """One answer of GetEnvironment, with the parts that Jetway uses.

    Attributes:
        airflow_version: as MWAA writes it, for example "3.3.1".
        source_bucket: name of the bucket that MWAA reads from.
        dags_path: key prefix of the DAGs folder, without slashes at its ends.
        options: AirflowConfigurationOptions.
        requirements_path, plugins_path, startup_script_path: keys in the source bucket; None where none is set.
        requirements_version, plugins_version, startup_script_version: the object versions in use.
        last_update: Status of LastUpdate: SUCCESS, PENDING or FAILED.
        last_update_at: when that update began.
        last_update_error: why it failed, in MWAA's words.
        last_update_source: who began it, in MWAA's words; its own maintenance is an update too.
        web_server: host name of Airflow's UI; None while there is none.
        install_log_groups: names of the log groups that what pip says may be in, those whose logs are enabled: the
            scheduler's, and the worker's, where both are one container (mw1.micro).
    """

    name: str
    status: str
    airflow_version: str
    source_bucket: str
    dags_path: str
    webserver_access_mode: str = "PUBLIC_ONLY"
    environment_class: str = "mw1.small"
    min_workers: int = 1
    max_workers: int = 10
    options: Mapping[str, str] = field(default_factory=dict)
    requirements_path: str | None = None
    requirements_version: str | None = None
    plugins_path: str | None = None
    plugins_version: str | None = None
    startup_script_path: str | None = None
    startup_script_version: str | None = None
    last_update: str | None = None
    last_update_at: datetime | None = None
    last_update_error: str | None = None
    last_update_source: str | None = None
    web_server: str | None = None
    install_log_groups: tuple[str, ...] = ()

    @property
    def version(self) -> tuple[int, ...]:
        """The Airflow version for comparing: (3, 3, 1)."""
        return tuple(int(part) for part in self.airflow_version.split(".") if part.isdigit())

    @property
    def major(self) -> int:
        """The Airflow major version: 2 or 3."""
        return self.version[0]

    @property
    def python_version(self) -> tuple[int, int]:
        """The CPython that MWAA runs this Airflow version on."""
        return (3, 12) if self.version >= _FIRST_ON_PYTHON_3_12 else (3, 11)

    @property
    def usable(self) -> bool:
        """Whether runs may be started now."""
        return self.status in USABLE_STATUSES

    @property
    def may_serve(self) -> bool:
        """Whether it is worth a try: it is usable, or an update is on its way during which it may serve."""
        return self.usable or self.status == UPDATING


def parse_environment(answer: Mapping[str, Any]) -> EnvironmentFacts:
    """Turn the `Environment` member of GetEnvironment's answer into facts."""
    update = answer.get("LastUpdate") or {}
    logs = answer.get("LoggingConfiguration") or {}
    return EnvironmentFacts(
        name=answer["Name"],
        status=answer["Status"],
        airflow_version=answer["AirflowVersion"],
        source_bucket=answer["SourceBucketArn"].rpartition(":")[2],
        dags_path=answer["DagS3Path"].strip("/"),
        webserver_access_mode=answer.get("WebserverAccessMode", "PUBLIC_ONLY"),
        environment_class=answer.get("EnvironmentClass", "mw1.small"),
        min_workers=answer.get("MinWorkers", 1),
        max_workers=answer.get("MaxWorkers", 10),
        options=answer.get("AirflowConfigurationOptions") or {},
        requirements_path=_key(answer.get("RequirementsS3Path")),
        requirements_version=answer.get("RequirementsS3ObjectVersion"),
        plugins_path=_key(answer.get("PluginsS3Path")),
        plugins_version=answer.get("PluginsS3ObjectVersion"),
        startup_script_path=_key(answer.get("StartupScriptS3Path")),
        startup_script_version=answer.get("StartupScriptS3ObjectVersion"),
        last_update=update.get("Status"),
        last_update_at=update.get("CreatedAt"),
        last_update_error=(update.get("Error") or {}).get("ErrorMessage"),
        last_update_source=update.get("Source"),
        web_server=answer.get("WebserverUrl"),
        install_log_groups=tuple(
            filter(None, (_log_group(logs.get(f"{kind}Logs")) for kind in ("Scheduler", "Worker")))
        ),
    )


def _log_group(logs: Mapping[str, Any] | None) -> str | None:
    """The name in arn:aws:logs:<region>:<account>:log-group:<name>, which may end with ":*"; None while disabled."""
    arn: str = (logs or {}).get("CloudWatchLogGroupArn") or ""
    return arn.split(":")[6] if logs and logs.get("Enabled") and arn.count(":") >= 6 else None


def _key(path: str | None) -> str | None:
    """The key that a path stands for; some answers give it with a slash before it."""
    return path.lstrip("/") or None if path else None


class Environment:
    """The environment by name, asked at most once in `max_age` seconds.

    A status other than AVAILABLE is remembered for `max_age_unusable` seconds only, so that work goes
    on soon after an update has ended. The clock is wall-clock time, because the monotonic clock of a frozen
    Lambda may stand still: facts of before an upgrade would pass for new ones.
    """

    def __init__(
        self,
        client: MWAAClient,
        name: str,
        *,
        clock: Callable[[], float] = time.time,
        max_age: float = 60.0,
        max_age_unusable: float = 5.0,
    ) -> None:
        self.name = name
        self._client = client
        self._clock = clock
        self._max_age = max_age
        self._max_age_unusable = max_age_unusable
        self._facts: EnvironmentFacts | None = None
        self._asked_at = 0.0
        self._served_at = float("-inf")

    def facts(self, *, max_age: float | None = None) -> EnvironmentFacts:
        """Return the environment's facts.

        Args:
            max_age: seconds that they may be old; what the environment was made with when not given.

        Raises:
            PermissionMissingError: the role may not ask.
            EnvironmentUnavailableError: no such environment, throttled or unreachable.
        """
        now = self._clock()
        if self._facts is not None:
            usual = self._max_age if self._facts.usable else self._max_age_unusable
            # Negative: the clock was set back.
            if 0 <= now - self._asked_at < (usual if max_age is None else min(usual, max_age)):
                return self._facts
        try:
            answer = self._client.get_environment(Name=self.name)
        except (ClientError, BotoCoreError) as exc:
            raise unavailable(self.name, "GetEnvironment", exc) from exc
        self._facts = parse_environment(answer["Environment"])
        self._asked_at = now
        return self._facts

    def serving_facts(self, ask: Callable[[], object]) -> EnvironmentFacts:
        """Return the facts of an environment that takes work now: while it is UPDATING, once a question has shown it.

        A question, for what is refused or lost of it creates nothing.

        Args:
            ask: asks Airflow something; raises TransientError when it does not serve.

        Raises:
            PermissionMissingError: as `facts`.
            EnvironmentUnavailableError: as `facts`, and when it does not serve.
        """
        facts = self.facts()
        if facts.usable:
            return facts
        if not facts.may_serve:
            raise not_available(facts)
        now = self._clock()
        if not 0 <= now - self._served_at < SERVES_FOR:
            try:
                ask()
            except (EnvironmentUnavailableError, PermissionMissingError):
                raise
            except JetwayError as exc:  # also a 404 of whatever stands there while the web server is replaced
                raise not_available(facts) from exc
            self._served_at = now
        return facts

    def reason_of(self, error: TransientError, *, of_a_question: bool = False) -> TransientError:
        """Return why Airflow did not answer: the environment's status where that explains it, else the error as it is.

        A web server that is being replaced refuses connections, tokens and commands in the same words as one that is
        busy or out of reach, so the status is asked for, at most every few seconds.

        Args:
            error: what the web server's answer looks like.
            of_a_question: nothing would have been created. Else a lost answer stays one: the command may have run.
        """
        lost = of_a_question and isinstance(error, AnswerLostError)
        if not lost and not isinstance(error, _OF_THE_WEB_SERVER):
            return error
        try:
            facts = self.facts(max_age=self._max_age_unusable)
        except (EnvironmentUnavailableError, PermissionMissingError):
            return error
        return error if facts.usable else not_available(facts)


def did_nothing(exc: Exception) -> bool:
    """Whether a call of MWAA's control plane that failed has certainly changed nothing."""
    if isinstance(exc, ClientError):
        code = exc.response["Error"]["Code"]
        return code in _DENIED | THROTTLED or code in {"ResourceNotFoundException", "ValidationException"}
    return type(exc).__name__ in _NO_WAY


def not_available(facts: EnvironmentFacts) -> EnvironmentUnavailableError:
    """Return the error of an environment that takes no work now."""
    return EnvironmentUnavailableError(
        f"MWAA environment {facts.name!r} is {facts.status}. No run starts until it is AVAILABLE. "
        + _hint(facts.status),
        facts.status,
    )


def _hint(status: str) -> str:
    if status == UPDATING:
        return (
            "Its web server does not respond. An update takes 10 to 30 minutes, and running tasks can take up to "
            "12 hours more to finish (GRACEFUL). Events wait until it responds and are not lost."
        )
    if status in _PASSING_STATUSES:
        return "An update takes 10 to 30 minutes. Events wait for it and are not lost."
    return "Check the environment in the MWAA console."


def is_denied(exc: BaseException | None) -> bool:
    """Whether a call was refused for want of a right, be it of the call itself or of what MWAA asks of its caller."""
    if not isinstance(exc, ClientError):
        return False
    code, words = exc.response["Error"]["Code"], _words(exc)
    if code != "ValidationException" or _REPEATS.match(words):
        return code in _DENIED
    return _OF_A_RIGHT.search(words) is not None


def denied(name: str, operation: str, exc: ClientError, *, resource: str | None = None) -> PermissionMissingError:
    """Return the error of a call that was refused for want of a right, with the action that AWS names.

    Args:
        name: of the environment.
        operation: that was called.
        exc: the refusal.
        resource: on which the right is needed, where AWS does not say.
    """
    words = _words(exc)
    action = found[1] if (found := _ACTION.search(words)) else f"airflow:{operation}"
    resource = found[1].rstrip(".,;") if (found := _RESOURCE.search(words)) else resource
    on = f" on {resource}" if resource else ""
    said = f" AWS says: {words[:_LONGEST_WORDS]}" if words else ""
    return PermissionMissingError(
        (
            f"{operation} on environment {name!r} is denied: the function's role, or a policy above it (a "
            "permissions boundary, a service control policy, a VPC endpoint policy), does not allow "
            f"{action}{on}.{said}"
        ),
        action=action,
        resource=resource,
    )


def _words(exc: ClientError) -> str:
    # A code that botocore's model does not know comes with "Message".
    return str(exc.response["Error"].get("Message") or exc.response.get("Message") or "")


def unavailable(name: str, operation: str, exc: Exception) -> EnvironmentUnavailableError | PermissionMissingError:
    """Say in Jetway's words why an MWAA control-plane call failed."""
    if isinstance(exc, ClientError) and is_denied(exc):
        return denied(name, operation, exc)
    code = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
    if code == "ResourceNotFoundException":
        return EnvironmentUnavailableError(
            f"MWAA has no environment {name!r} in this account and Region. Deploy with the right EnvironmentName; "
            "events wait until then."
        )
    if code in _NO_WAY:
        return EnvironmentUnavailableError(
            f"{operation} on environment {name!r} did not reach MWAA: {code}. A function in a VPC needs a NAT "
            "gateway or the VPC endpoints of Amazon MWAA."
        )
    return EnvironmentUnavailableError(f"{operation} on environment {name!r} failed: {code}: {exc}")
