"""What is said of common mistakes: one finding where one is the cause, with the place or the words that were meant."""

from __future__ import annotations

import pytest

from jetway.artifacts.findings import Candidate, Finding
from jetway.artifacts.kinds import kind_of
from jetway.artifacts.mwaa import known_versions, packages_of
from jetway.artifacts.requirements.requirements_file import check_requirements
from jetway.triggers.file import parse

from .judging import AIRFLOW_2_ON_PYTHON_3_11, AIRFLOW_3, judge


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("requirements/requirements.txt", "requirements.txt"),
        ("airflow/requirements.txt", "requirements.txt"),
        ("requirements/prod.txt", "requirements.txt"),
        ("plugins/plugins.zip", "plugins.zip"),
        ("startup_script/startup.sh", "startup.sh"),
        ("startup/startup.sh", "startup.sh"),
        ("config/access.yaml", "access.yaml"),
        ("src/dags/team/x.py", "dags/team/x.py"),
        ("airflow/triggers/x.yaml", "triggers/x.yaml"),
        ("trigger/x.yaml", "triggers/x.yaml"),
        ("Data/orders/x.csv", "data/orders/x.csv"),
        ("requirement.txt", "requirements.txt"),
    ],
)
def test_the_key_that_was_meant_is_named(key: str, meant: str) -> None:
    (finding,) = kind_of(key).check(Candidate(key, 1, b"x"), AIRFLOW_3, 99).findings
    assert (finding.rule, finding.remedy) == ("unknown-kind", f"Did you mean {meant}?")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("orders.csv", "upload it as data/<dag_id>/orders.csv"),
        ("x/y.csv", "upload it as data/<dag_id>/y.csv"),
        ("orders.py", "upload it as dags/orders.py"),
        ("dags.zip", "upload it as dags/dags.zip"),
        ("orders.yml", "upload it as triggers/orders.yaml"),
        ("plugins/hooks/acme.py", "zip -r ../plugins.zip"),
    ],
)
def test_the_place_that_was_meant_comes_first(key: str, said: str) -> None:
    (finding,) = kind_of(key).check(Candidate(key, 1, b"x"), AIRFLOW_3, 99).findings
    assert said in finding.remedy.partition(". ")[0]


@pytest.mark.parametrize("matcher", ["suffix", "prefix"])
def test_a_list_where_one_text_is_meant(matcher: str) -> None:
    text = f"dag: a\non: {{s3: {{bucket: acme, key: {{{matcher}: [/a, /b]}}}}}}\n"
    (finding,) = parse(text.encode(), "triggers/a.yaml").judgement.findings
    assert finding.rule == "wrong-type"
    assert "It must be a string" in finding.remedy
    assert "for several, write a list of matchers in key" in finding.remedy


def frozen(version: str) -> str:
    packages = packages_of(version)
    assert packages is not None
    return "".join(f"{name}=={pin}\n" for name, pin in packages.installed.items())


def of_requirements(text: str) -> list[Finding]:
    content = text.encode()
    found = check_requirements(Candidate("requirements.txt", len(content), content), AIRFLOW_3).findings
    return [finding for finding in found if finding.severity == "error"]


def test_so_are_a_few_pins_beside_another_airflow() -> None:
    pins = "celery==5.4.0\nclick==8.1.7\nkombu==5.3.7\npendulum==3.0.0\n"
    (finding,) = of_requirements(f"apache-airflow==2.9.2\n{pins}")
    assert finding.rule == "pins-of-another-version"
    assert {one.rule for one in of_requirements(pins)} == {"essential-pin", "constraint-conflict"}


@pytest.mark.parametrize("version", [version for version in known_versions() if version < "3.2"])
@pytest.mark.parametrize("without", ["", "apache-airflow"])
def test_a_pip_freeze_of_another_airflow_is_one_sentence(version: str, without: str) -> None:
    lines = [line for line in frozen(version).splitlines(keepends=True) if line.partition("==")[0] != without]
    (finding,) = of_requirements("".join(lines))
    assert finding.rule == "pins-of-another-version"
    assert "They are the pins of Airflow" in finding.message
    assert f"of {len(lines)} lines" in finding.message


def test_many_pins_of_nobodys_airflow_are_one_sentence_too() -> None:
    packages = packages_of("3.3.1")
    assert packages is not None
    names = [name for name in packages.constraints if name not in packages.essential][:40]
    (finding,) = of_requirements("".join(f"{name}==0.0.1\n" for name in names))
    assert "They are the output of pip freeze in another place" in finding.message


def test_a_few_contradictions_are_said_one_by_one_and_an_own_freeze_is_fine() -> None:
    assert [finding.rule for finding in of_requirements("celery==5.0.0\nkombu==5.0.0\n")] == ["essential-pin"] * 2
    assert of_requirements(frozen("3.3.1")) == []


PASSED_OVER = "import dagfactory\ndagfactory.load_yaml_dags(globals())\n"


@pytest.mark.parametrize("line", ["import dagfactory", "from gusty import create_dag", "from cosmos import DbtDag"])
def test_a_file_that_makes_dags_and_that_airflow_passes_over(line: str) -> None:
    judged = judge(f"{line}\n")
    assert (judged.verdict, [finding.rule for finding in judged.findings]) == ("accepted", ["passed-over"])
    assert judged == judge(f"{line}\n", environment=AIRFLOW_2_ON_PYTHON_3_11)


@pytest.mark.parametrize(
    "text",
    [
        "# airflow\n" + PASSED_OVER,
        "import os\nDAG_FOLDER = os.sep\n",
        "from cosmos import ProfileConfig\n",
        "from .gusty import dag\n",
        "def f():\n    import dagfactory\n",
    ],
)
def test_helper_modules_and_files_that_airflow_sees_get_no_finding(text: str) -> None:
    assert judge(text).findings == ()
