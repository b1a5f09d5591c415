"""Random texts of every kind that users write crash and stall nothing; the seeds are the same each time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .fuzzing_kinds import KINDS, MANY, in_a_moment

# What the kinds are made of, so that more than their first line is read.
WORDS = {
    "trigger": """dag: schedule: rate(1 cron(0 rate_limit: s3: bucket: key: prefix: suffix: wildcard: anything-but: event: source:
        detail: detail-type: exists: conf: {{ }} "{{ detail.a }}" batch: limits: rate: 5/minute webhook: auth: - [ ] { } ,
        & * ! | > ? # ' " 0xff 0o17 1e999 .inf 2024-01-01 true null ~ dag_run_id: enabled: timezone: Europe/Berlin at(""",
    "access": """access: allow: who: iam: jwt: role/ user/ group: sub: cognito:groups: dags: may: start read clear * ? [ ] { } -
        , : & ! | > # ' " 0x0 1e9 true null preferred_username: arn:aws:iam::111122223333:role/x""",
    "floors": """floors: - workers: from: until: days: mon-fri 08:00 25:99 timezone: UTC Europe/Berlin begin: end: cron: 5 -1 1e9
        every: week [ ] { } , & * ! | > # ' " null""",
    "startup": """#!/bin/bash export A=1 set -e exit return $( ` ' " \\ << EOF EOF # if then fi for do done case esac { } ( ) ; & | >
        $A ${A} ${A:- eval exec source . pip install airflow alias function readonly declare -x unset trap""",
    "ignore": """* ** / ! # \\ [a-z] [^ ] ( ) (?: (?= (?i) + ? {1,2} ^ $ | .* \\d \\z \\pL [[:alpha:]] a.py team/ .py""",
    "constraints": """celery==5.0 # ; python_version < "3.12" --hash=sha256:x -c -r -e https:// file:// @ [extra] ~= != ===
        \\ ${X} --index-url -i --no-binary a b""",
    "key": """ . .. / // \\ %2f %00 .py .zip __pycache__ ~ : * ? " < > | é \u202e \x1b""",
    "body": """{ } [ ] , : " \\u0000 \\ud800 1e999 -0 NaN Infinity true false null "a" "a":""",
    "signature": """t= v1= , v1,  sha256= sha1= 0 9 f é = whsec_ 1700000000 -1 1e9 \x00""",
    "template": """{{ }} \\{{ \\\\{{ detail. bucket "a" "\\" . .0 -1 key } { \\ " """,
    "import_error": """Traceback (most recent call last):\n  File "/usr/local/airflow/dags/a.py", line 3, in <module>\n
        ModuleNotFoundError: No module named 'x' KeyError: TypeError: unexpected keyword argument 'a' AirflowException: Cycle
        sqlalchemy.exc. airflow.exceptions. [ ] ( ) ' " : ; DAG: x does not exist in 'dag' table Invalid input for param a:
        Exactly 5 columns has already been added id ' /usr/local/airflow/dags/b.csv not found""",
    "told": """{ } [ ] , : "dag" "dag_id" "line" "tags" "tasks" "certain" "schedule" "advice" "rule" "severity" "error" "done"
        true "seconds" 1.5 1e999 NaN "unseen" null "Variable" "siblings" "x" -1""",
}
COMMON = [
    *" \n\t\\#-=<>:;,.'\"%$*&|^/x1é\0\u2028\u202e\x1b",
    "\r\n",
    "\ud800",
    "99999999999999999999",
    "  ",
    "\n  ",
]


def texts(kind: str) -> st.SearchStrategy[str]:
    parts = st.one_of(st.sampled_from(WORDS[kind].split()), st.sampled_from(COMMON), st.text(max_size=5))
    return st.tuples(st.lists(parts, max_size=50), st.sampled_from(["", " ", "\n"])).map(
        lambda made: made[1].join(made[0])
    )


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of Python's parser of expressions
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_crashes_and_nothing_stalls(kind: str) -> None:
    @settings(
        max_examples=MANY, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(texts(kind))
    def each(text: str) -> None:
        in_a_moment(kind, text)

    each()


def test_every_kind_has_words() -> None:
    assert KINDS.keys() == WORDS.keys()
