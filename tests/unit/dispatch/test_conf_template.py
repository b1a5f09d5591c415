"""The conf template, driven by generated JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetway.dispatch.conf_template import TemplateError, paths, render
from jetway.errors import InvalidConfError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
NASTY = st.text(alphabet=st.sampled_from(list('{}\\"<>. a\n\u2028é\U0001f600')))
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS | NASTY, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | NASTY, inner, max_size=4)
)
OBJECTS = st.dictionaries(st.text() | NASTY, JSON, max_size=4)


def escaped(value: Any) -> Any:
    """A template that renders to the value."""
    if isinstance(value, str):
        return re.sub(r"(\\*)\{\{", r"\1\1\\{{", value)
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, dict):
        return {name: escaped(item) for name, item in value.items()}
    return value


@given(OBJECTS)
def test_any_json_can_be_written_as_a_template(value: dict[str, Any]) -> None:
    assert render(escaped(value), {}) == value


@given(OBJECTS)
def test_a_template_without_placeholders_is_the_conf(value: dict[str, Any]) -> None:
    if "{{" not in json.dumps(value):
        assert render(value, {}) == value


@given(st.lists(st.text() | NASTY, min_size=1, max_size=4), JSON)
def test_every_value_of_an_event_can_be_reached_and_keeps_its_type(path: list[str], value: Any) -> None:
    facts: Any = value
    for name in reversed(path):
        facts = {name: facts}
    dotted = ".".join(json.dumps(name) for name in path)
    rendered = render({"x": f"{{{{ {dotted} }}}}", "y": [f"<{{{{{dotted}}}}}>"]}, facts)
    assert rendered["x"] == value
    assert type(rendered["x"]) is type(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    assert rendered["y"] == [f"<{text}>"]


@given(NASTY)
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    try:
        found = paths(text)
    except TemplateError:
        return
    assert len(found) <= text.count("{{")


FACTS = {"bucket": "acme", "key": "a b.csv", "size": 7, "none": None, "detail": {"items": [{"id": 1}], "a.b": True}}


@pytest.mark.parametrize(
    ("template", "conf"),
    [
        ("s3://{{ bucket }}/{{ key }}", "s3://acme/a b.csv"),
        ("{{size}}", 7),
        ("{{ size }} bytes", "7 bytes"),
        ("{{ none }}", None),
        ("{{ none }}!", "null!"),
        ("{{ detail.items.0.id }}", 1),
        ("{{ detail.items }}", [{"id": 1}]),
        ('{{ detail."a.b" }}', True),
        (r"\{{ ds }}", "{{ ds }}"),
        (r"\\{{ bucket }}", "\\acme"),
        ("{ bucket }", "{ bucket }"),
        ("}} {{ bucket }} }}", "}} acme }}"),
    ],
)
def test_rendering(template: str, conf: object) -> None:
    assert render({"x": template}, FACTS) == {"x": conf}


def test_what_is_rendered_is_not_rendered_again() -> None:
    assert render({"x": "{{ key }}{{ key }}"}, {"key": "{{ key }}"}) == {"x": "{{ key }}{{ key }}"}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ buckt }}", ["'buckt'", "did you mean 'bucket'", "key, none, size"]),
        ("{{ detail.items.1 }}", ["'detail.items'", "list of 1"]),
        ("{{ detail.items.-1 }}", ["list of 1"]),
        ("{{ size.x }}", ["'size' is 7"]),
        ("{{ }}", ["is not a placeholder", "\\{{"]),
        ("s3://{{ a b }}/x", ["'{{ a b }}/x' is not a placeholder"]),
        ("{{ bucket", ["'{{ bucket' is not a placeholder"]),
        ("{{{ bucket }}}", ["is not a placeholder"]),
        ('{{ "\\x" }}', ["not JSON"]),
    ],
)
def test_what_cannot_be_rendered_says_why_and_where(template: str, said: list[str]) -> None:
    with pytest.raises(InvalidConfError) as caught:
        render({"a": {"b": [template]}}, FACTS)
    assert str(caught.value).startswith("conf.a.b.0: ")
    for text in said:
        assert text in str(caught.value)
