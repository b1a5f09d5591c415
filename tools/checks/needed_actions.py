"""Makes cli/jetway_cli/needed_actions.json: what each role needs, from the template and never_asked.toml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tools.checks import decisions
from tools.checks.rendered import Node, conditional_statements, transformed
from tools.venvs import ROOT

TARGET = ROOT / "cli" / "jetway_cli" / "needed_actions.json"


def write() -> None:
    """Write the file."""
    TARGET.write_text(text(), encoding="utf-8")


def text() -> str:
    """Return what the file is to have."""
    template = transformed(ROOT / "template.yaml")
    known = decisions.exempt()
    roles = {
        name: list(_needs(name, role, template, known))
        for name, role in template["Resources"].items()
        if role["Type"] == "AWS::IAM::Role"
    }
    named = {when.removeprefix("!") for needs in roles.values() for need in needs for when in need["when"]}
    conditions = {name: _written_out({"Condition": name}, template["Conditions"]) for name in sorted(named)}
    # One need a line, so that a difference can be read.
    lines = ",\n".join(
        f"  {json.dumps(name)}: [\n" + ",\n".join(f"   {json.dumps(need)}" for need in needs) + "\n  ]"
        for name, needs in roles.items()
    )
    return f'{{\n "conditions": {json.dumps(conditions)},\n "roles": {{\n{lines}\n }}\n}}\n'


def _needs(
    name: str, role: Mapping[str, Node], template: Mapping[str, Node], known: Mapping[decisions.Grant, decisions.Exempt]
) -> Iterator[dict[str, Any]]:
    of_role = [role["Condition"]] if "Condition" in role else []
    for statement, when in conditional_statements(role["Properties"], template["Resources"]):
        if statement["Effect"] != "Allow":
            continue
        for action in _listed(statement["Action"]):
            why = known.get(decisions.Grant(name, statement["Sid"], action))
            if why is not None and why.asked == "never" and not why.needed:
                continue
            yield {
                "statement": statement["Sid"],
                "action": action,
                "resources": [_text(resource) for resource in _listed(statement["Resource"])],
                "context": list(_context(statement.get("Condition", {}))),
                "when": of_role + when,
            }


def _context(conditions: Mapping[str, Mapping[str, Node]]) -> Iterator[dict[str, Any]]:
    for operator, keys in conditions.items():
        if operator == "Null":
            continue
        for name, values in keys.items():
            kind = "stringList" if operator.startswith("For") else "string"
            texts = [_text(value).rstrip("*") for value in _listed(values)]
            yield {"name": name, "kind": kind, "values": texts}


def _text(node: Node) -> str:
    """A node as a text of Fn::Sub."""
    if not isinstance(node, dict):
        return str(node)
    ((function, argument),) = node.items()
    match function:
        case "Ref":
            return f"${{{argument}}}"
        case "Fn::GetAtt":
            return "${" + (argument if isinstance(argument, str) else ".".join(argument)) + "}"
        case "Fn::Sub" if isinstance(argument, str):
            return argument
        case "Fn::If":
            both = [_text(each) for each in argument[1:]]
            return "${" + "|".join(each.removeprefix("${").removesuffix("}") for each in both) + "}"
        case "Fn::Join":
            return str(argument[0].join(map(_text, argument[1])))
    raise ValueError(f"not a string: {node}")


def _written_out(condition: Node, conditions: Mapping[str, Node]) -> Node:
    if isinstance(condition, list):
        return [_written_out(each, conditions) for each in condition]
    if isinstance(condition, dict):
        if "Condition" in condition:
            return _written_out(conditions[condition["Condition"]], conditions)
        return {key: _written_out(value, conditions) for key, value in condition.items()}
    return condition


def _listed(value: Node) -> list[Node]:
    return value if isinstance(value, list) else [value]
