"""Which DAGs a caller of the HTTP API may start and see: the list that access.yaml has put in force. Pure.

Without a list everybody whom API Gateway lets in may start and see every DAG. With one, whoever no entry fits may do
neither. Webhooks have no caller: their secret and their trigger file say what they start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from jetway.http.problems import ProblemError

if TYPE_CHECKING:
    from jetway.http.callers import Caller

Verb = Literal["start", "read"]


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry.

    Attributes:
        iam: an ARN; None for an entry about tokens.
        jwt: claims that a token must have, all of them.
        dags: dag_ids with `*` for any characters.
        start: False when it lets see only.
    """

    iam: str | None
    jwt: Mapping[str, str]
    dags: tuple[str, ...]
    start: bool = True

    def fits(self, caller: Caller) -> bool:
        """Whether the entry is about this caller."""
        if self.iam is not None:
            return caller.arn is not None and self.iam_of_calls in {caller.arn, caller.name}
        return bool(caller.claims) and all(_has(caller.claims, name, value) for name, value in self.jwt.items())

    @property
    def iam_of_calls(self) -> str:
        """The ARN as calls carry it: a role's is that of its sessions, which leave out the role's path.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
        """
        head, separator, path = (self.iam or "").partition(":role/")
        if not separator:
            return self.iam or ""
        return f"{head.replace(':iam::', ':sts::')}:assumed-role/{path.rpartition('/')[2]}"

    def covers(self, dag_id: str, verb: Verb) -> bool:
        """Whether the entry lets do this with the DAG."""
        return (self.start or verb == "read") and any(fnmatchcase(dag_id, pattern) for pattern in self.dags)


@dataclass(frozen=True, slots=True)
class Reach:
    """What one caller may do.

    Attributes:
        caller: who.
        grants: the entries about the caller; None when no list is in force.
    """

    caller: Caller
    grants: tuple[Grant, ...] | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there may be DAGs that the caller does not see."""
        return self.grants is not None and not any("*" in grant.dags for grant in self.grants)

    def allows(self, verb: Verb, dag_id: str | None) -> bool:
        """Whether the caller may do this with the DAG; None is what belongs to no DAG that is known."""
        if self.grants is None or (verb == "read" and not self.is_limited):
            return True
        return dag_id is not None and any(grant.covers(dag_id, verb) for grant in self.grants)

    def require(self, verb: Verb, dag_id: str) -> None:
        """Let pass who may do this with the DAG.

        Raises:
            ProblemError: 403, with the entry that would allow it.
        """
        if self.allows(verb, dag_id):
            return
        doing = "start runs of" if verb == "start" else "see"
        who = f"iam: {_as_written(self.caller.arn)}" if self.caller.arn else f"jwt: {{sub: {_subject(self.caller)}}}"
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "dag-not-allowed",
            (
                f"access.yaml does not allow {self.caller.name} to {doing} DAG {dag_id[:250]!r}. To allow it, add this "
                f"entry to access.yaml: {{{who}, dags: [{dag_id[:250]}]}}."
            ),
        )


@dataclass(frozen=True, slots=True)
class AccessList:
    """The entries in force.

    Attributes:
        grants: None when no list is in force.
    """

    grants: tuple[Grant, ...] | None = field(default=None)

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> AccessList:
        """Make the list of an accepted document (access.schema.json); None for no list."""
        if document is None:
            return cls()
        return cls(
            tuple(
                Grant(entry.get("iam"), entry.get("jwt", {}), tuple(entry["dags"]), start=entry.get("only") != "read")
                for entry in document["allow"]
            )
        )

    def reach_of(self, caller: Caller) -> Reach:
        """Return what a caller may do."""
        if self.grants is None:
            return Reach(caller)
        return Reach(caller, tuple(grant for grant in self.grants if grant.fits(caller)))


# Claims that name one thing. A text "[mallory alice]" in one of them is a name, and no list.
# https://openid.net/specs/openid-connect-core-1_0.html#IDToken, #StandardClaims
_NEVER_LISTS = frozenset(
    {
        "sub",
        "iss",
        "azp",
        "client_id",
        "email",
        "preferred_username",
        "username",
        "cognito:username",
        "name",
        "nickname",
    }
    | {"given_name", "family_name", "phone_number", "upn", "unique_name", "oid", "tid", "jti"}
)


def _has(claims: Mapping[str, str], name: str, wanted: str) -> bool:
    """Whether a claim is the value, or a list that holds it: API Gateway writes ["a", "b"] as "[a b]"."""
    claim = claims.get(name)
    if claim is None:
        return False
    if name not in _NEVER_LISTS and claim.startswith("[") and claim.endswith("]"):
        return wanted in claim[1:-1].split()
    # Scopes are words of one text: https://datatracker.ietf.org/doc/html/rfc8693#section-4.2
    return wanted in claim.split() if name in {"scope", "scp"} else claim == wanted


def _as_written(arn: str) -> str:
    """The ARN of a caller as one would write it into the file: of a role's session the role.

    >>> _as_written("arn:aws:sts::111122223333:assumed-role/billing/i-0abc")
    'arn:aws:iam::111122223333:role/billing'
    """
    head, separator, rest = arn.partition(":assumed-role/")
    return f"{head.replace(':sts::', ':iam::')}:role/{rest.partition('/')[0]}" if separator else arn


def _subject(caller: Caller) -> str:
    return caller.claims.get("sub") or caller.name.rpartition(":")[2]
