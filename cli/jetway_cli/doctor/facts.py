"""What doctor has seen. Nothing here asks anybody, and nothing here judges.

Whatever somebody else may refuse to tell is an `Asked`: the answer, or the permission that the caller lacks, or why
there is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jetway_cli.stack import WHOLE

if TYPE_CHECKING:
    from jetway.airflow.environment import EnvironmentFacts

T = TypeVar("T")

# Stacks in these states never were whole, or are no more: nothing but the state can be looked at.
_NEVER_WHOLE = ("CREATE_", "ROLLBACK_", "DELETE_", "REVIEW_", "IMPORT_IN_PROGRESS")


@dataclass(frozen=True)
class Asked(Generic[T]):
    """An answer, or why there is none.

    Attributes:
        value: None when there is no answer, or when that is the answer: there is no such thing.
        denied: the IAM action that the caller may not do.
        trouble: any other reason why there is no answer, as a sentence.
    """

    value: T | None = None
    denied: str | None = None
    trouble: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is an answer."""
        return self.denied is None and self.trouble is None


@dataclass(frozen=True, slots=True)
class StackResource:
    """A resource of the stack.

    Attributes:
        physical: its id in AWS; empty when it was never made.
    """

    logical: str
    physical: str
    kind: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StackFacts:
    """The stack as CloudFormation has it.

    Attributes:
        account, partition: that it is in.
    """

    name: str
    region: str
    account: str
    status: str
    partition: str = "aws"
    reason: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[StackResource, ...] = ()

    @property
    def was_whole(self) -> bool:
        """Whether the stack has, or had before an update, all of its resources."""
        return self.status in WHOLE or not self.status.startswith(_NEVER_WHOLE)

    def of_kind(self, kind: str) -> tuple[StackResource, ...]:
        """Return the resources of a type that were made."""
        return tuple(found for found in self.resources if found.kind == kind and found.physical)

    def find(self, logical: str) -> StackResource | None:
        """Return a resource by its logical id; None when the stack has none."""
        return next((found for found in self.resources if found.logical == logical and found.physical), None)

    def arn(self, service: str, rest: str) -> str:
        """Return an ARN of this account and Region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"


@dataclass(frozen=True, slots=True)
class EnvironmentSeen:
    """The environment as GetEnvironment has it.

    Attributes:
        subnets, groups: of its network.
        key: ARN or id of its KMS key; None for one of AWS's.
    """

    facts: EnvironmentFacts
    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class BucketSeen:
    """A bucket, as far as anybody tells.

    Attributes:
        why: what of Jetway it is: "the drop bucket", "trigger orders".
        there: False when there is no such bucket.
        key: of the default encryption: empty for none, or a key of AWS's.
        events: whether it sends its events to EventBridge.
        policy: of the bucket; empty when it has none.
    """

    name: str
    why: str
    there: Asked[bool] = field(default_factory=lambda: Asked(True))
    versioning: Asked[str] = field(default_factory=lambda: Asked("Enabled"))
    key: Asked[str] = field(default_factory=lambda: Asked(""))
    events: Asked[bool] = field(default_factory=lambda: Asked(True))
    policy: Asked[Mapping[str, Any]] = field(default_factory=lambda: Asked({}))


@dataclass(frozen=True, slots=True)
class KeySeen:
    """A KMS key.

    Attributes:
        used_for: what of Jetway is encrypted with it, in words.
        ours: whether it must let the stack's services in, too.
        state: as KMS says it.
        account: that owns it.
        policy: its key policy, parsed.
    """

    arn: str
    used_for: str
    ours: bool
    state: Asked[str]
    account: str
    policy: Asked[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class IamDecision:
    """What IAM says of one action of a role on one resource.

    Attributes:
        decision: allowed, implicitDeny or explicitDeny, as IAM says it.
        by: what denies when it is not the role's own policy: "the permissions boundary", "an organization's policy".
    """

    role: str
    action: str
    resource: str
    decision: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class RoleSeen:
    """A function's role.

    Attributes:
        logical: its logical id.
        gone: whether there is no such role.
        arn: of the role.
        decisions: of everything that it needs.
    """

    logical: str
    arn: str
    decisions: Asked[tuple[IamDecision, ...]]
    gone: bool = False


@dataclass(frozen=True, slots=True)
class FunctionSeen:
    """A function of the stack.

    Attributes:
        state, update: State and LastUpdateStatus; "gone" when there is no such function.
        role: ARN.
        in_vpc: whether it joins a VPC.
        reserved: executions at once that are its own, and its most; None for as many as the account has.
        settings: as CloudFormation names them; None when there is no such function.
    """

    logical: str
    name: str
    state: str
    update: str
    role: str
    in_vpc: bool
    reserved: int | None = None
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """A queue of the stack.

    Attributes:
        waiting: messages that nobody works on; None when there is no such queue.
        in_work: messages that somebody works on just now.
        age: seconds that the oldest has waited; None where CloudWatch has no number.
        settings: as CloudFormation names them; None when there is no such queue.
    """

    logical: str
    name: str
    waiting: int | None
    age: Asked[float | None]
    in_work: int = 0
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PartSeen:
    """A resource of the stack against the template.

    Attributes:
        name: that its service knows it by.
        wanted: its properties by the deployed template, with its functions resolved.
        seen: what its service says of them, as far as they are compared; None when there is no such thing. A member
            may be an `Asked` of its own.
    """

    logical: str
    kind: str
    name: str
    wanted: Mapping[str, Any]
    seen: Asked[Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Drift:
    """A rule, schedule or alarm of a trigger that is not as its accepted file says.

    Attributes:
        what: "rule jetway.orders".
        how: "is missing", "differs", "is disabled", "belongs to no trigger".
    """

    what: str
    how: str


@dataclass(frozen=True, slots=True)
class TriggersSeen:
    """The triggers in force.

    Attributes:
        in_force: how many.
        rejected: keys of files whose newest version is not.
        buckets: what triggers read: bucket and names of the triggers.
        drift: what is not as accepted.
        rules: how many rules there are on each bus that has some of ours.
    """

    in_force: int
    rejected: tuple[str, ...]
    buckets: Mapping[str, tuple[str, ...]]
    drift: tuple[Drift, ...]
    rules: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AlarmSeen:
    """An alarm of the stack's.

    Attributes:
        settings: as CloudWatch says them.
    """

    name: str
    state: str
    description: str
    actions_enabled: bool
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription of one of the topics.

    Attributes:
        topic: "alarms" or "artifacts".
    """

    topic: str
    protocol: str
    endpoint: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class LoadSeen:
    """What import_dag made of a DAG file that is good on every Airflow.

    Attributes:
        airflow: the version that loaded it, as the function says.
        verdict: accepted, when all is well.
        error: why there is no verdict.
    """

    function: str
    airflow: str | None = None
    verdict: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class QuotaSeen:
    """Limits of the account.

    Attributes:
        rules: per bus; None where Service Quotas does not say.
        concurrency: executions of all functions of the account at once.
        peak: the most that there were at once in the last day; None where CloudWatch has no number.
    """

    rules: Asked[int]
    concurrency: Asked[int]
    peak: Asked[float]


@dataclass(frozen=True, slots=True)
class Trip:
    """A question that went to Airflow and back.

    Attributes:
        answered: whether Airflow did.
        said: its version, or why not.
        seconds: that it took.
    """

    answered: bool
    said: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """All that doctor has seen.

    Attributes:
        skew: seconds that this machine's clock is ahead of AWS's.
        rest_throttled: calls of InvokeRestApi that were throttled in the last hour.
        health: what GET /health of the HTTP API says: status code and document.
        leftovers: rules, schedules and alarms of stacks that are gone, by the stack's name.
        parts: every resource of the stack against the deployed template; not known when that cannot be read.
    """

    now: datetime
    version: str
    stack: StackFacts
    environment: Asked[EnvironmentSeen]
    buckets: Asked[tuple[BucketSeen, ...]]
    keys: Asked[tuple[KeySeen, ...]]
    roles: tuple[RoleSeen, ...]
    functions: Asked[tuple[FunctionSeen, ...]]
    queues: Asked[tuple[QueueSeen, ...]]
    parts: Asked[tuple[PartSeen, ...]]
    triggers: Asked[TriggersSeen]
    alarms: Asked[tuple[AlarmSeen, ...]]
    subscriptions: Asked[tuple[Subscription, ...]]
    loads: Asked[tuple[LoadSeen, ...]]
    quotas: QuotaSeen
    skew: Asked[float]
    rest_throttled: Asked[float]
    rest: Asked[Trip]
    cli: Asked[Trip]
    health: Asked[tuple[int, Mapping[str, Any]]]
    leftovers: Asked[Mapping[str, tuple[str, ...]]]
