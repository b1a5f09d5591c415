"""What two versions of a template differ in, as CloudFormation and IAM get them.

    git show v1.2.0:template.yaml > /tmp/before/template.yaml    # with the files that it includes, beside it
    python -m tools.checks.compare_templates /tmp/before/template.yaml template.yaml

Both are transformed first, so anchors, included files, loops and SAM's resources do not count. Roles are compared by
what they are granted: whether a statement is the role's own or in a managed policy of the stack, how it is named, and
whether one statement gives two actions or two give one each makes no difference.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.checks.rendered import Node, conditional, conditional_statements, transformed

_ROLE, _MANAGED = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"


def differences(before: Mapping[str, Node], after: Mapping[str, Node]) -> Iterator[str]:
    """Yield each difference of two transformed templates: "+" is new, "-" is gone, "!" has another value."""
    for section in sorted(before.keys() | after.keys()):
        if section != "Resources":
            yield from _unlike(section, before.get(section, {}), after.get(section, {}))
    one, other = before["Resources"], after["Resources"]
    left, right = _attached(one), _attached(other)
    for name in sorted(one.keys() | other.keys()):
        if {one.get(name, {}).get("Type"), other.get(name, {}).get("Type")} == {_ROLE}:
            yield from _unlike(name, _without_policies(one[name]), _without_policies(other[name]))
            yield from _unlike_grants(name, grants(one[name], one), grants(other[name], other))
        elif name not in left & right:
            yield from _unlike(
                name, one.get(name) if name not in left else None, other.get(name) if name not in right else None
            )


def grants(role: Mapping[str, Node], resources: Mapping[str, Node]) -> set[str]:
    """Return what a role is granted and denied: one line for each action on each resource, with its conditions.

    Args:
        role: a resource of a transformed template.
        resources: all of that template; managed policies are among them.
    """
    found = {f"attached {_text(arn)}" for arn, _ in _others(role, resources)}
    for statement, when in conditional_statements(role["Properties"], resources):
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                words = [statement["Effect"], action, "on", _text(resource)]
                words += ["if", _text(statement["Condition"])] if "Condition" in statement else []
                words += ["with", " ".join(when)] if when else []
                found.add(" ".join(words))
    return found


def _others(role: Mapping[str, Node], resources: Mapping[str, Node]) -> Iterator[tuple[Node, list[str]]]:
    """Managed policies that are not of this template."""
    for managed in role["Properties"].get("ManagedPolicyArns", []):
        yield from ((arn, when) for arn, when in conditional(managed) if not _is_own(arn, resources))


def _is_own(arn: Node, resources: Mapping[str, Node]) -> bool:
    return isinstance(arn, Mapping) and arn.get("Ref") in resources


def _attached(resources: Mapping[str, Node]) -> set[str]:
    """Managed policies of the template that are attached to roles of it: they are compared with those."""
    return {
        arn["Ref"]
        for role in resources.values()
        if role["Type"] == _ROLE
        for managed in role["Properties"].get("ManagedPolicyArns", [])
        for arn, _ in conditional(managed)
        if _is_own(arn, resources)
    }


def _without_policies(role: Mapping[str, Node]) -> dict[str, Node]:
    kept = {name: one for name, one in role["Properties"].items() if name not in {"Policies", "ManagedPolicyArns"}}
    return {**role, "Properties": kept}


def _unlike_grants(role: str, before: set[str], after: set[str]) -> Iterator[str]:
    yield from (f"- {role}: {line}" for line in sorted(before - after))
    yield from (f"+ {role}: {line}" for line in sorted(after - before))


def _unlike(path: str, before: Node, after: Node) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            yield from _unlike(f"{path}.{name}", before.get(name), after.get(name))
    elif before == after:
        return
    elif before is None:
        yield f"+ {path}: {_text(after)}"
    elif after is None:
        yield f"- {path}: {_text(before)}"
    else:
        yield f"! {path}: {_text(before)} -> {_text(after)}"


def _text(node: Node) -> str:
    return node if isinstance(node, str) else json.dumps(node, sort_keys=True)


def _listed(value: Node) -> list[Node]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    """Print how two templates differ; return 1 when they do."""
    before, after = (transformed(Path(argument).resolve()) for argument in sys.argv[1:3])
    found = list(differences(before, after))
    roles = [resource for resource in after["Resources"].values() if resource["Type"] == _ROLE]
    print(*found, sep="\n", end="\n" if found else "")
    print(
        f"{len(found)} differences; compared: {len(after['Resources'])} resources, {len(roles)} of them roles with "
        f"{sum(len(grants(role, after['Resources'])) for role in roles)} grants."
    )
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
