"""Whatever users write is read in a time that grows with its length, whatever it is made of.

Every parser gets a few kilobytes of one worst thing, and four times as much of it: it may take six times as long. What
bounds its input refuses the longer one at once, which is well.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from jetway.airflow import cli_errors
from jetway.artifacts import airflow_ignore
from jetway.artifacts.archives import zip_structure
from jetway.artifacts.archives.zip_reader import BrokenZipError, ZipReader
from jetway.artifacts.keys import placing_findings
from jetway.artifacts.plugins.plugins_contents import secrets
from jetway.artifacts.python import python_source
from jetway.artifacts.requirements import requirement_lines, requirements_model
from jetway.artifacts.startup.startup_effects import habits
from jetway.diagnosis.missing_files import missing_files
from jetway.dispatch import conf_template
from jetway.documents.escape import visible
from jetway.documents.yaml_document import load as load_yaml
from jetway.errors import JetwayError
from jetway.http import json_body, signatures
from jetway.http.access_file import parse_access
from jetway.http.prefer import read_preference
from jetway.http.problems import ProblemError
from jetway.triggers import schedule_text
from jetway.triggers.file import parse as parse_trigger
from jetway.workers.floors import check_floors
from jetway_loader import answers, import_errors

# What has made parsers slow: blanks, what opens and never ends, what is escaped, what may be read in two ways.
WORST = (
    *(" ", "\n", "\t", "\r", " \n", "#", " #", "a", "0", "0x", "a ", "a,", "-", "- ", "~-", "--", "=", "==", ":", ": "),
    *(
        "[",
        "{",
        "(",
        "[[",
        "[,",
        "{,",
        "[!",
        "{{",
        "{{a",
        "{%",
        "${",
        "$(",
        '"',
        "'",
        '"\\',
        "\\",
        "\\\\",
        "`",
        "<",
        "<<",
    ),
    *(
        "*",
        "**",
        "a*",
        "/",
        "../",
        "a/",
        ".",
        "..",
        "@",
        "&a ",
        "*a ",
        "? ",
        "!",
        "!!",
        "|",
        ">",
        ";",
        " ; ",
        "%41",
        "\x1b[",
    ),
    *(
        "\u202e",
        "é",
        "a: b\n",
        "- a\n",
        "a==1\n",
        "a\n b\n",
        "EOF\n",
        "<<a\n",
        "def f(): pass\n",
        '  File "x", line 1, in f\n',
    ),
)
# Up to 3.12 Python's compiler takes the square of how many functions a module has: hence the bounds on what is read.
OF_PYTHON = {"def f(): pass\n"} if sys.version_info < (3, 13) else set()
SHORT, TIMES = 2_500, 4
ANNOYING = 0.01  # seconds: below that, nobody notices, and nothing can be measured


def zip_of(name: str) -> Any:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(f"{name[:60_000]}.py", b"x")
    return list(zip_structure.directory_findings(ZipReader(out, len(out.getvalue()))))


def zip_of_many(text: str) -> Any:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for number in range(len(text) // 100):
            made.writestr(f"{text[:60]}{number}/{number}.py", b"x")
    return list(zip_structure.directory_findings(ZipReader(out, len(out.getvalue()))))


def signed(text: str) -> Any:
    header = text.encode("latin-1", "replace").decode("latin-1")
    return signatures.verify("stripe", {"stripe-signature": header}, b"{}", ["x" * 32], now=0.0)


def said(text: str) -> Any:
    return import_errors.read_error({"error": f"Traceback\n{text}\nValueError: {text}"}, "/dags/a.py", "/dags")


PARSERS: dict[str, Callable[[str], Any]] = {
    "names in a zip": zip_of,
    "many names in a zip": zip_of_many,
    "a key": lambda text: placing_findings(f"dags/{text}.py", 1, None),
    "YAML": load_yaml,
    "YAML, a value": lambda text: load_yaml(f"a: {text}"),
    "YAML, a quoted value": lambda text: load_yaml(f'a: "{text}'),
    "a DAG file": lambda text: python_source.read_source(text.encode(), (3, 11)),
    "a DAG file, a string": lambda text: python_source.read_source(f"a = f'''{text}'''".encode(), (3, 11)),
    "a DAG file, a comment": lambda text: python_source.read_source(f"a # {text}".encode(), (3, 11)),
    "requirements": requirements_model.read_requirements,
    "requirements, a line": lambda text: requirements_model.read_requirements(f"celery{text}"),
    "requirements, an option": lambda text: requirements_model.read_requirements(f"-c https://x/{text}"),
    "requirements, redacted": requirement_lines.redacted,
    "requirements, a URL redacted": lambda text: requirement_lines.redacted(f"https://a:{text}@b"),
    "airflowignore, re2": lambda text: airflow_ignore.oddities(text, "re2"),
    "airflowignore, regexp": lambda text: airflow_ignore.oddities(text, "regexp"),
    "a trigger": lambda text: parse_trigger(text.encode(), "triggers/a.yaml"),
    "a trigger, its name of a DAG": lambda text: parse_trigger(f"dag: {text}".encode(), "triggers/a.yaml"),
    "a trigger, a key of S3": lambda text: parse_trigger(
        f"dag: a\ns3: {{bucket: b, key: {{wildcard: {json.dumps(text)}}}}}".encode(), "triggers/a.yaml"
    ),
    "a trigger, its conf": lambda text: parse_trigger(
        f"dag: a\nschedule: rate(1 day)\nconf: {{a: {json.dumps(text)}}}".encode(), "triggers/a.yaml"
    ),
    "a schedule": schedule_text.cron_fault,
    "access": lambda text: parse_access(text.encode()),
    "access, a DAG": lambda text: parse_access(f"access: [{{allow: [{json.dumps(text)}]}}]".encode()),
    "floors": lambda text: check_floors(text.encode()),
    "startup.sh": habits,
    "startup.sh, an assignment": lambda text: habits(f"export A={text}"),
    "a webhook's signature": signed,
    "a webhook's body": lambda text: json_body.read_json_object(text.encode()),
    "a webhook's body, a text": lambda text: json_body.read_json_object(json.dumps({"a": text}).encode()),
    "a header": read_preference,
    "a template of conf": conf_template.paths,
    "a template of conf, opened": lambda text: conf_template.paths("{{ " + text),
    "a template of conf, a name": lambda text: conf_template.paths('{{ "' + text),
    "secrets in plugins": lambda text: list(secrets("a.py", text.encode())),
    "an import error": said,
    "an import error, missing files": missing_files,
    "an import error, told": lambda text: answers.sound([{"error": text}]),
    "the command line's words": cli_errors.explain,
    "the command line's words, a param": lambda text: cli_errors.explain(f"x.E: Invalid input for param {text}"),
    "a report": visible,
}


def of_length(worst: str, length: int) -> str:
    return worst * (length // len(worst))


def seconds(parse: Callable[[str], Any], text: str, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        started = time.process_time()
        with suppress(JetwayError, ProblemError, BrokenZipError, ValueError):  # refused, which is an answer
            parse(text)
        best = min(best, time.process_time() - started)
    return best


def grows(parse: Callable[[str], Any], worst: str, length: int, times: int) -> bool:
    """Whether four times as much takes more than six times as long; of a few times each, the shortest counts."""
    longer = seconds(parse, of_length(worst, length * TIMES), times)
    return longer > 6 * seconds(parse, of_length(worst, length), times)


def is_slow(parse: Callable[[str], Any], worst: str, annoying: float = ANNOYING) -> bool:
    """Whether it takes the square of its length, at every length; what a cache of the processor does is passing."""
    if seconds(parse, of_length(worst, SHORT * TIMES), 1) < annoying:
        return False
    return all(grows(parse, worst, length, times) for length, times in ((SHORT, 1), (SHORT, 3), (SHORT * TIMES, 3)))


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Python's own parser of expressions
@pytest.mark.parametrize("parser", PARSERS)
def test_its_time_grows_with_what_it_reads(parser: str) -> None:
    left_out = OF_PYTHON if parser.startswith("a DAG file") else set()
    slow = [worst for worst in WORST if worst not in left_out and is_slow(PARSERS[parser], worst)]
    assert slow == []


def test_what_takes_the_square_of_its_length_is_seen() -> None:
    def square(text: str) -> int:
        return sum(text.count("b", at) for at in range(0, len(text), 2))

    assert is_slow(square, "a", annoying=0.0)
    assert not is_slow(lambda text: [*map(ord, text)], "a", annoying=0.0)
