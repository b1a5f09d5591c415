"""Writes cli/jetway_cli/doctor/actions.json: what each function's role must be allowed, for `jetway doctor`.

    python -m local.role_actions    # also: make role-actions

It is what the template's roles allow, with the stack's names left open:

    {"conditions": {"UseRest": {"Fn::Equals": [{"Ref": "Transport"}, "rest"]}},
     "roles": {"StartDagRunRole": [{"actions": ["sqs:SendMessage"], "resources": ["${WaitingQueue.Arn}"],
                                    "context": {}, "when": []}]}}

`context` holds what a request must have for the statement's conditions, `when` the conditions of the template that it
stands under. Whether a role has more than its function needs is the business of the tests of the template and of IAM
as the local stack enforces it; a role that has less, by somebody's hand or an account's rules, is doctor's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local.rendered import transformed
from local.venvs import ROOT

FILE = ROOT / "cli" / "jetway_cli" / "doctor" / "actions.json"
# A value that matches a pattern of the template: doctor asks about one thing, not about a pattern.
_SET = ("ForAllValues:", "ForAnyValue:")


def needs() -> dict[str, Any]:
    """Return what stands in the file."""
    template = transformed(ROOT / "template.yaml")
    resources = template["Resources"]
    trusted = _roles_of_functions(resources)
    found = {role: list(_of_role(role, resources)) for role in sorted(trusted)}
    used = {name for statements in found.values() for one in statements for name in one["when"]}
    return {"conditions": _with_what_they_name(template["Conditions"], used), "roles": found}


def _roles_of_functions(resources: Mapping[str, Any]) -> set[str]:
    functions = [found for found in resources.values() if found["Type"] == "AWS::Lambda::Function"]
    return {function["Properties"]["Role"]["Fn::GetAtt"][0] for function in map(_plain, functions)}


def _of_role(role: str, resources: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    properties = _plain(resources[role]["Properties"])
    for policy in properties.get("Policies", []):
        yield from _statements(policy["PolicyDocument"], [])
    for managed in properties.get("ManagedPolicyArns", []):
        when, reference = _branch(managed)
        document = _plain(resources[reference["Ref"]]["Properties"])["PolicyDocument"]
        yield from _statements(document, when)


def _statements(document: Mapping[str, Any], when: list[str]) -> Iterator[dict[str, Any]]:
    for one in document["Statement"]:
        under, statement = _branch(one)
        if statement["Effect"] != "Allow":
            continue
        yield {
            "actions": sorted(_listed(statement["Action"])),
            "resources": [_text(resource) for resource in _listed(statement["Resource"])],
            "context": dict(_context(statement.get("Condition", {}))),
            "when": sorted({*when, *under}),
        }


def _context(conditions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a key and a value for it, for each condition that wants one."""
    for operator, keys in conditions.items():
        if operator == "Null":
            continue  # another operator says which value
        for key, wanted in keys.items():
            if not operator.removeprefix(_SET[0]).removeprefix(_SET[1]).startswith(("String", "Arn", "Bool")):
                raise ValueError(f"condition {operator} is new; say here which value meets it.")
            yield key, _text(_listed(wanted)[0])


def _branch(node: Any) -> tuple[list[str], Any]:
    """What stands under a condition, and which."""
    if isinstance(node, dict) and "Fn::If" in node:
        condition, yes, _ = node["Fn::If"]
        return [condition], yes
    return [], node


def _text(node: Any) -> str:
    """A value as text, with ${…} for what only the stack knows."""
    if isinstance(node, str):
        return node
    ((function, argument),) = node.items()
    if function == "Ref":
        return f"${{{argument}}}"
    if function == "Fn::GetAtt":
        return f"${{{'.'.join(argument)}}}"
    if function == "Fn::Sub":
        return str(argument)
    if function == "Fn::If":
        condition, yes, no = argument
        return f"${{{condition}?{_text(yes)}:{_text(no)}}}"
    raise ValueError(f"{function} in a policy is new; say here how doctor reads it.")


def _plain(node: Any) -> Any:
    """A node whose Fn::GetAtt are lists."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = node.get("Fn::GetAtt")
    if isinstance(found, str):
        return {"Fn::GetAtt": found.split(".", 1)}
    return {key: _plain(value) for key, value in node.items()}


def _with_what_they_name(conditions: Mapping[str, Any], wanted: set[str]) -> dict[str, Any]:
    text = json.dumps({name: conditions[name] for name in wanted})
    more = {name for name in conditions if f'{{"Condition": "{name}"}}' in text}
    if more <= wanted:
        return {name: conditions[name] for name in sorted(wanted)}
    return _with_what_they_name(conditions, wanted | more)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(needs(), indent=1) + "\n", encoding="utf-8")
    print(f"{FILE.relative_to(ROOT)} is written.")


if __name__ == "__main__":
    main()
