"""startup.sh after MWAA's own wrapper, which sources it: what ends MWAA's start, and what has no effect."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetway.artifacts.startup.shell_commands import commands
from jetway.artifacts.startup.startup_effects import habits


def rules(text: str) -> list[tuple[str, int | None]]:
    found = habits(text)
    assert {finding.severity for finding in found} <= {"warning"}
    return [(finding.rule, finding.line) for finding in found]


@pytest.mark.parametrize(
    "line",
    [
        *("set -e", "set -ex", "set -euo pipefail", "set -eo pipefail", "set -Eeuo pipefail", "set -u -e", "  set -e"),
        *("set -o errexit", "set -o pipefail -o errexit", "set -uo pipefail -e", "set +x -e", "set -o 'errexit'"),
        *("shopt -so errexit", "shopt -s -o errexit", "shopt -os errexit", "true; set -e", "[ -f x ] && set -e"),
        *("if true; then set -e; fi", "builtin set -e", "{ set -e; }", "case $x in a) set -e;; esac", "\\set -e"),
        *("main() { set -e; }; main", "for i in 1 2; do set -e; done", "set \\\n -e", "set -e # why"),
        *("trap 'exit 1' ERR", "trap exit ERR EXIT", "eval 'set -e'", 'eval "set -o errexit; true"'),
    ],
)
def test_every_form_of_errexit(line: str) -> None:
    assert [rule for rule, _ in rules(f"#!/bin/bash\n{line}\n")] == ["errexit"]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "set +e",
            "set -u",
            "set -o pipefail",
            "set -E",
            "set -x",
            "set -- -e",
            "set - -e",
            "set a -e",
            "set +o errexit",
        ),
        *("(set -e; true)", "echo set -e", "# set -e", "echo 'set -e'", 'echo "\nset -e\n"', "set -e | cat"),
        *("x=$(set -e; pwd); echo $x", "bash -c 'set -e'", "helper() { set -e; }", "shopt -s extglob", "set"),
        *("trap 'echo failed' ERR", "trap 'exit 1' INT", "trap - ERR", "eval true"),
        "cat > /tmp/x <<EOF\nset -e\nEOF",
        "cat <<-'EOF'\n\tset -e\n\tEOF",
    ],
)
def test_what_is_no_errexit_of_the_shell_itself(line: str) -> None:
    assert rules(f"{line}\n") == []


@pytest.mark.parametrize(
    "line",
    [
        *(
            "exec python3 /x.py",
            "exec -a name prog",
            "exec -- prog",
            "exec -l prog",
            "A=1 exec prog",
            "command exec prog",
        ),
        *("exec > /tmp/log prog", "true && exec prog", "if a; then\n exec prog\nfi", "run() { exec prog; }\nrun"),
    ],
)
def test_exec_of_a_program(line: str) -> None:
    assert [rule for rule, _ in rules(f"export A=1\n{line}\n")] == ["exec"]


@pytest.mark.parametrize(
    "line",
    [
        *("exec > >(tee -a /tmp/startup.log) 2>&1", "exec 3<&0", "exec &> /tmp/x", "exec 2>>/tmp/x", "exec"),
        *("exec {fd}> /tmp/x", "(exec prog)", "exec prog &", "find . -exec rm {} \\;", "docker exec x", "echo exec x"),
        *("exit 0", "return 0", "x() { exec prog; }"),
    ],
)
def test_exec_that_only_redirects_or_is_in_a_process_of_its_own(line: str) -> None:
    assert rules(f"{line}\n") == []


@pytest.mark.parametrize(
    "first", ["#!/usr/bin/env python3", "#!/usr/bin/python", "#! /bin/zsh", "#!/usr/bin/env -S fish"]
)
def test_a_shebang_that_is_not_bashs(first: str) -> None:
    assert rules(f"{first}\nimport os\n") == [("shebang", 1)]


@pytest.mark.parametrize("first", ["#!/bin/bash", "#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/bash -e", "# x", "#!"])
def test_a_shebang_of_bash(first: str) -> None:
    assert rules(f"{first}\necho\n") == []


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ('STAGE=prod\nDATA_BUCKET="acme-data"\n', 1, "STAGE, DATA_BUCKET are"),
        ("export A=1\nSTAGE=prod\n", 2, "STAGE is"),
        ("if true; then\n  STAGE=prod\nfi\n", 2, "STAGE"),
        ("A=1 B=2\n", 1, "A, B"),
        ("setup() { STAGE=prod; }\nsetup\n", 1, "STAGE"),
        ("AIRFLOW__CORE__PARALLELISM=4\n", 1, "AIRFLOW__CORE__PARALLELISM"),
        ("declare STAGE\nSTAGE=x\n", 2, "STAGE"),
        ("export A=1\nreadonly STAGE=prod\ndeclare -r B=2\ntypeset C=3\n", 2, "STAGE, B, C are"),
        ("".join(f"V{number}=1\n" for number in range(9)), 1, "and 4 more"),
    ],
)
def test_variables_that_no_dag_sees(text: str, line: int, named: str) -> None:
    (finding,) = habits(text)
    assert (finding.rule, finding.line) == ("not-exported", line)
    assert named in finding.message
    assert finding.message.endswith("see them." if " are" in finding.message else "see it.")


@pytest.mark.parametrize(
    "text",
    [
        "export STAGE=prod\n",
        "STAGE=prod\nexport STAGE\n",
        "STAGE=prod; export STAGE OTHER\n",
        "declare -x STAGE=prod\n",
        "typeset -rx STAGE=prod\n",
        "readonly STAGE=prod\nexport STAGE\n",
        "readonly STAGE=prod\necho $STAGE\n",
        "declare -A MAP=x\ndeclare -fx f\n",
        "STAGE=prod\nexport BUCKET=acme-$STAGE\n",
        'VERSION=1.2\ncurl "https://example.com/${VERSION}.tgz"\n',
        "set -a\nSTAGE=prod\nset +a\n",
        "set -o allexport\nSTAGE=prod\n",
        "PATH=$PATH:/x\nLANG=C.UTF-8\n",
        "IFS=,\n",
        "STAGE=prod pip install x\n",
        "(STAGE=prod)\n",
        "f() { local STAGE=prod; }\nf\n",
        "f() { STAGE=prod; }\n",
        'LIST=(a b)\nfor x in "${LIST[@]}"; do echo $x; done\n',
        "N=1\nif (( N > 2 )); then echo; fi\n",
        "STAGE=prod\nsource /usr/local/airflow/dags/env.sh\n",
        'STAGE=prod\neval "export $X"\n',
        "for line in $(cat x); do export $line; done\nX=1\n",
        "cat > /tmp/x.ini <<EOF\nSTAGE=prod\nEOF\n",
    ],
)
def test_variables_that_dags_see_or_that_are_not_meant_for_them(text: str) -> None:
    assert rules(text) == []


def test_reserved_variables_are_found_wherever_they_are_assigned() -> None:
    text = "export A=1 AIRFLOW_HOME=/x\nif a; then PYTHONPATH=/y; fi\ncat <<E\nAWS_REGION=z\nE\nAWS_REGION=z prog\n"
    assert rules(text) == [("reserved-variable", 1), ("reserved-variable", 2)]


SHELL = st.lists(
    st.sampled_from(
        [
            *(
                "set -e",
                "exec x",
                "a",
                "A=1",
                "(",
                ")",
                "{",
                "}",
                "[[",
                "]]",
                "((",
                "))",
                "$(",
                "${",
                "`",
                '"',
                "'",
                "\\",
            ),
            *(
                "\n",
                ";",
                "|",
                "&",
                "&&",
                "<",
                ">",
                "<<E",
                "E\n",
                "<<<",
                "case",
                "esac",
                "in",
                "if",
                "fi",
                "f()",
                "#",
                " ",
                "=",
            ),
        ]
    )
).map("".join)


@given(SHELL | st.text())
@example("<<E")
@example("f()" * 50)
def test_anything_is_read_to_its_end(text: str) -> None:
    assert all(1 <= command.line <= text.count("\n") + 1 for command in commands(text))
    habits(text)


def test_a_large_script_is_read_in_no_time() -> None:
    for text in ("(" * 200_000, "$(" * 100_000, "`" * 200_000, "f() {" * 40_000, "<<E\n" * 50_000, "A=1\n" * 50_000):
        commands(text)
