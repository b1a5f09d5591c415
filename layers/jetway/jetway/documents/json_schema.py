"""The shape of a document: a JSON Schema as the one source, and what people are told when it does not hold.

It reads the part of JSON Schema 2020-12 that our schemas use, and makes one sentence of every violation: where, what
was found, what it must be (the schema's `description` and `examples`), and the nearest known key of an unknown one.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

DocumentPath = tuple[str | int, ...]
Schema = Mapping[str, Any]

_CHECKED = {
    *("type", "const", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "anyOf", "oneOf", "not"),
    *("minItems", "maxItems", "items", "prefixItems"),
    *("minProperties", "maxProperties", "properties", "additionalProperties", "required"),
}
_UNDERSTOOD = _CHECKED | {"$schema", "$id", "$ref", "$defs", "title", "description", "examples", "default"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class SchemaViolation:
    """One violation.

    Attributes:
        rule: unknown-key, missing-key, wrong-type, wrong-value or wrong-keys.
        path: of the value, from the document's root.
        message: what is wrong, with the path in it.
        remedy: what to do about it.
    """

    rule: str
    path: DocumentPath
    message: str
    remedy: str


def problems(value: Any, schema: Schema) -> list[SchemaViolation]:
    """Return what keeps a JSON value from having the shape; nothing when it has it.

    Raises:
        NotImplementedError: the schema has a keyword that is not understood here.
    """
    return list(_Checker(schema).check(value, schema, ()))


def shown(path: DocumentPath) -> str:
    """A path for people: on.s3.key[0].

    >>> shown(("on", "s3", "key", 0))
    'on.s3.key[0]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"


@dataclass(frozen=True, slots=True)
class _Checker:
    root: Schema

    def check(self, value: Any, schema: Schema, path: DocumentPath) -> Iterator[SchemaViolation]:
        schema = self._resolved(schema)
        if unknown := schema.keys() - _UNDERSTOOD:
            raise NotImplementedError(f"keywords {sorted(unknown)} of the schema")
        if not _has_type(value, schema.get("type")) or not _is_among(value, schema):
            yield _wrong(value, schema, path)
            return
        if "anyOf" in schema and not _only_requires(schema["anyOf"]):
            yield from self._check_any(value, schema, path)
            return
        if isinstance(value, str):
            yield from _check_text(value, schema, path)
        elif isinstance(value, dict):
            yield from self._check_object(value, schema, path)
        elif isinstance(value, list):
            yield from self._check_list(value, schema, path)
        elif _has_type(value, "number") and not (schema.get("minimum", value) <= value <= schema.get("maximum", value)):
            yield _wrong(value, schema, path)

    def _check_object(self, value: dict[str, Any], schema: Schema, path: DocumentPath) -> Iterator[SchemaViolation]:
        known: Mapping[str, Schema] = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in known:
                yield from self.check(item, known[name], (*path, name))
            elif others is False:
                yield _unknown_key(name, known, path)
            elif others is not True:
                yield from self.check(item, others, (*path, name))
        for name in schema.get("required", ()):
            if name not in value:
                yield SchemaViolation(
                    "missing-key", path, f"{shown(path)} has no {name!r}.", _add(name, self._resolved(known[name]))
                )
        found = f"{shown(path)} has {_names(value) or 'nothing in it'}."
        if not _keys_fit(value, schema):
            yield SchemaViolation("wrong-keys", path, found, f"Write {schema.get('description', 'other keys')}.")
        if "not" in schema and _meets(value, schema["not"]):
            yield SchemaViolation(
                "wrong-keys", path, found, f"Keep only one of {', '.join(schema['not']['required'])}."
            )

    def _check_list(self, value: list[Any], schema: Schema, path: DocumentPath) -> Iterator[SchemaViolation]:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield _wrong(value, schema, path)
            return
        first = schema.get("prefixItems", ())
        for number, item in enumerate(value):
            if number < len(first):
                yield from self.check(item, first[number], (*path, number))
            elif "items" in schema:
                yield from self.check(item, schema["items"], (*path, number))

    def _check_any(self, value: Any, schema: Schema, path: DocumentPath) -> Iterator[SchemaViolation]:
        """Of several shapes one must fit; when none does, tell of the one that was meant."""
        tried = [
            (choice, list(self.check(value, choice, path)))
            for choice in map(self._resolved, schema["anyOf"])
            if _has_type(value, choice.get("type"))
        ]
        if any(not found for _, found in tried):
            return
        if len(tried) == 1:
            yield from tried[0][1]
        else:
            yield _wrong(value, schema, path)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.root["$defs"][str(schema["$ref"]).removeprefix("#/$defs/")]
        return schema


def _check_text(value: str, schema: Schema, path: DocumentPath) -> Iterator[SchemaViolation]:
    length_fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    if not length_fits or ("pattern" in schema and not _pattern(schema["pattern"]).search(value)):
        yield _wrong(value, schema, path)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    # JSON Schema's `$` is the very end; Python's lets one line break through.
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern))


def _has_type(value: Any, name: str | None) -> bool:
    if name is None:
        return True
    if name == "integer":
        return _has_type(value, "number") and value == int(value)
    # A bool is an int in Python.
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _is_among(value: Any, schema: Schema) -> bool:
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    # In Python True == 1; in JSON it is another value.
    return allowed is None or any(value == other and type(value) is type(other) for other in allowed)


def _only_requires(choices: list[Schema]) -> bool:
    return all("required" in choice and len(choice) == 1 for choice in choices)


def _meets(value: dict[str, Any], requirement: Schema) -> bool:
    if "anyOf" in requirement:
        return any(_meets(value, choice) for choice in requirement["anyOf"])
    return all(name in value for name in requirement["required"])


def _keys_fit(value: dict[str, Any], schema: Schema) -> bool:
    """Whether an object has the right number of keys, and the right ones together."""
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    if "oneOf" in schema and sum(_meets(value, choice) for choice in schema["oneOf"]) != 1:
        return False
    return "anyOf" not in schema or any(_meets(value, choice) for choice in schema["anyOf"])


def _wrong(value: Any, schema: Schema, path: DocumentPath) -> SchemaViolation:
    must_be = str(schema.get("description", f"a JSON {schema.get('type', 'value')}"))
    example = ", for example " + json.dumps(schema["examples"][0]) if schema.get("examples") else ""
    rule = "wrong-value" if _has_type(value, schema.get("type")) else "wrong-type"
    return SchemaViolation(rule, path, f"{shown(path)} is {_brief(value)}.", f"It must be {must_be}{example}.")


def _unknown_key(name: str, known: Mapping[str, Schema], path: DocumentPath) -> SchemaViolation:
    near = difflib.get_close_matches(name.lower().replace("_", "-"), [key.replace("_", "-") for key in known], n=1)
    meant = next((key for key in known if near and key.replace("_", "-") == near[0]), None)
    remedy = f"Did you mean {meant!r}? " if meant else ""
    where = f" in {shown(path)}" if path else ""
    return SchemaViolation(
        "unknown-key", (*path, name), f"Unknown key {name!r}{where}.", f"{remedy}Valid keys: {_names(known)}."
    )


def _add(name: str, schema: Schema) -> str:
    example = f", for example {name}: {json.dumps(schema['examples'][0])}" if schema.get("examples") else ""
    return f"Add {name}: {schema.get('description', 'it is required')}{example}."


def _names(value: Mapping[str, Any]) -> str:
    return ", ".join(value)


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    kind = "the object " if isinstance(value, dict) else "the list " if isinstance(value, list) else ""
    return kind + (text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
