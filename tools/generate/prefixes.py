"""`make prefixes` writes a table of docs/security.md: who may put under a prefix of the drop bucket, and what it gives.

Who writes is read from the template: the roles that are allowed to. What it gives is said here; a prefix that a role
may write and that is not said here is an error, so that none comes without its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jetway.artifacts.keys import OWN_PREFIXES
from tools.checks.rendered import Rendered
from tools.venvs import ROOT

PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- make prefixes -->", "<!-- end of make prefixes -->"

# What of the drop bucket is for people and their programs to write.
GIVES_TO_PEOPLE: Mapping[str, str] = {
    "dags/": "run their own code in Airflow's DAG processor, and in every task of those DAGs, with all permissions of "
    "the environment's execution role; replace and delete files of others there",
    "dags/<team>/": "the same, but only with files in this folder; the code itself runs beside the code of all others",
    "data/": "start a run of any DAG, with the file's key as conf",
    "data/<dag_id>/": "start runs only of that DAG",
    "triggers/": "decide which events start which DAG with which conf, and open webhooks; change and end triggers of "
    "others",
    "access.yaml": "decide who can start and see which DAG with the HTTP API",
    "alarms.yaml": "turn off alarms for failures of DAGs, and set the owners of DAGs",
    "floors.yaml": "start workers, which costs money",
    "requirements.txt": "install packages on all schedulers and workers",
    "plugins.zip": "run code in every process of Airflow",
    "startup.sh": "run commands on every container before Airflow starts",
    "any other key": "only start runs that an S3 trigger on the drop bucket names; the report says that "
    "the file is not an artifact",
}
GIVES_TO_JETWAY: Mapping[str, str] = {
    "accepted/": "decide what is in force: triggers, callers of the HTTP API, alarms, floors, what requirements.txt "
    "brings",
    "batches/": "change the list of files that the run of a batch works on",
    "bundles/": "change the files that DAG files are loaded with while they are checked",
    "quarantine/": "change rejected files, which are kept for people to read",
    "reports/": "change what people and Jetway know about a version: its verdict, and whether it was rolled back",
}
_WRITES = re.compile(r"s3:(\*|Put|Delete|Restore|Replicate)")


@dataclass(frozen=True, slots=True)
class Line:
    """One prefix, or key.

    Attributes:
        who: may put there.
        gives: what they can do by that.
    """

    prefix: str
    who: str
    gives: str


def writers(stack: Rendered) -> dict[str, list[str]]:
    """Return the roles of the stack that may write below a prefix of the drop bucket, by prefix.

    That of a tag on any object is no prefix: it is written where the object is, by whoever judges it.
    """
    found: dict[str, set[str]] = {}
    for role in stack.of_type("AWS::IAM::Role"):
        for pattern in _written(stack, role):
            found.setdefault(prefix_of(pattern), set()).add(role)
    return {prefix: sorted(roles) for prefix, roles in sorted(found.items())}


def prefix_of(pattern: str) -> str:
    """Return the first folder of a key, with its slash; the key itself when it is in none."""
    folder, slash, _ = pattern.partition("/")
    return folder + slash


def _written(stack: Rendered, role: str) -> Iterator[str]:
    """The keys of the drop bucket that a role may put or delete."""
    bucket = f"{stack.reference('DropBucket', 'Arn')}/"
    for statement in stack.statements(role):
        actions = _listed(statement["Action"])
        if statement["Effect"] != "Allow" or not any(_WRITES.match(action) for action in actions):
            continue
        if all("Tagging" in action or not _WRITES.match(action) for action in actions):
            continue
        for resource in _listed(statement["Resource"]):
            if resource == "*" or resource.startswith(bucket):
                yield resource.removeprefix(bucket)


def lines(stack: Rendered) -> list[Line]:
    """Return the lines of the table.

    Raises:
        KeyError: a role may write below a prefix of which nobody has said what that gives.
    """
    roles = writers(stack)
    unsaid = [prefix for prefix in roles if prefix not in GIVES_TO_JETWAY]
    if unsaid or set(GIVES_TO_JETWAY) != set(OWN_PREFIXES):
        raise KeyError(f"say in {__name__} what a writer of these can do: {unsaid or OWN_PREFIXES}")
    people = [Line(prefix, "principals that you allow", gives) for prefix, gives in GIVES_TO_PEOPLE.items()]
    own = [
        Line(prefix, ", ".join(_function_of(role) for role in roles.get(prefix, [])), gives)
        for prefix, gives in GIVES_TO_JETWAY.items()
    ]
    return people + own


def _function_of(role: str) -> str:
    """A function's name as the documentation has it."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", role.removesuffix("Role").removesuffix("Function")).lower()
    return f"`{words}`"


def table(stack: Rendered) -> str:
    """Return the table as Markdown."""
    head = ["| prefix or key | who writes there | a principal that can write there can |", "|---|---|---|"]
    return "\n".join([*head, *(f"| `{each.prefix}` | {each.who} | {each.gives} |" for each in lines(stack))])


def page(text: str, stack: Rendered) -> str:
    """Return the page with the table in its place.

    Raises:
        ValueError: it has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(stack)}\n{END}{after}"


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def main() -> None:
    """Write the table."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), Rendered()), encoding="utf-8")


if __name__ == "__main__":
    main()
