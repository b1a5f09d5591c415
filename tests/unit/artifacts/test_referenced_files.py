"""What a requirements.txt takes from dags/ and plugins.zip, by -r and -c."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from jetway.artifacts.findings import Candidate, Judgement
from jetway.artifacts.mwaa import DAGS_FOLDER, packages_of
from jetway.artifacts.requirements.referenced_files import Beside, on_mwaa
from jetway.artifacts.requirements.requirement_resolution import resolved
from jetway.artifacts.requirements.requirements_file import check_requirements
from jetway.artifacts.requirements.uv_resolve import Resolution, ResolutionRequest
from jetway.artifacts.resolution_check import Resolver

from .buckets import DROP, LIVE, Buckets
from .judging import AIRFLOW_2_ON_PYTHON_3_11, AIRFLOW_3, rules
from .zips import zip_of

FILES = {
    "/usr/local/airflow/dags/constraints.txt": "pymongo==3.12.0\napache-airflow-providers-mongo==3.1.1\nsix>=1\n",
    "/usr/local/airflow/dags/common.txt": "pymysql==1.1.3\n",
    "/usr/local/airflow/dags/team/all.txt": "-r more.txt\n-c ../constraints.txt\n",
    "/usr/local/airflow/dags/team/more.txt": "--extra-index-url https://index.example/simple\ncelery==1.0\n",
    "/usr/local/airflow/dags/loop.txt": "-r loop.txt\n",
    "/usr/local/airflow/dags/broken.txt": "not a requirement\n",
    "/usr/local/airflow/plugins/constraints.txt": "pymongo==4.0\n",
}


def errors(judged: Judgement) -> list[tuple[str, int | None]]:
    return [(finding.rule, finding.line) for finding in judged.findings if finding.severity == "error"]


def judge(text: str, files: Mapping[str, str] = FILES, *, final: bool = False) -> Judgement:
    beside = Beside(files.get, frozenset({DAGS_FOLDER}) if final else frozenset())
    return check_requirements(Candidate("requirements.txt", len(text), text.encode()), AIRFLOW_3, None, beside)


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("../dags/common.txt", "/usr/local/airflow/dags/common.txt"),
        ("common.txt", "/usr/local/airflow/requirements/common.txt"),
        ("./../plugins/./c.txt", "/usr/local/airflow/plugins/c.txt"),
        ("file:///usr/local/airflow/dags/c.txt", "/usr/local/airflow/dags/c.txt"),
        ("/usr/local/airflow/dags/c.txt", "/usr/local/airflow/dags/c.txt"),
        ("https://example.org/c.txt", "https://example.org/c.txt"),
    ],
)
def test_a_path_is_taken_from_where_mwaa_has_requirements_txt(place: str, path: str) -> None:
    assert on_mwaa(place) == path


@pytest.mark.parametrize(
    "place",
    [
        "/usr/local/airflow/dags/constraints.txt",
        "../dags/constraints.txt",
        "file:///usr/local/airflow/dags/constraints.txt",
    ],
)
def test_constraints_in_dags_are_in_force(place: str) -> None:
    judged = judge(f"-c {place}\napache-airflow-providers-mongo==4.1.1\n")
    assert (judged.verdict, errors(judged)) == ("rejected", [("constraint-conflict", 2)])
    assert "the constraints that the file names say apache-airflow-providers-mongo==3.1.1" in judged.findings[0].message
    assert judge(f"-c {place}\napache-airflow-providers-mongo==3.1.1\n").verdict == "accepted"


def test_a_constraints_file_that_is_not_here_is_not_guessed_at() -> None:
    text = "-c /usr/local/airflow/dags/none.txt\napache-airflow-providers-mongo==4.1.1\n"
    assert errors(judge(text)) == []
    assert errors(judge(text, final=True)) == [("constraint-missing", 1)]


def test_requirements_in_dags_are_read_through_all_files() -> None:
    judged = judge("-r /usr/local/airflow/dags/team/all.txt\n")
    assert errors(judged) == [("essential-pin", 1)], "celery is asked for two files away"
    assert ("local-file", 1) not in rules(judge("-r ../dags/common.txt\n"))
    assert judge("# -c none\n-r ../dags/common.txt\n").verdict == "accepted"


def test_what_is_wrong_in_a_file_beside_is_said_with_its_name() -> None:
    (found,) = [finding for finding in judge("-r ../dags/broken.txt\n").findings if finding.severity == "error"]
    assert (found.rule, found.line) == ("requirement-syntax", 1)
    assert found.message.startswith("In /usr/local/airflow/dags/broken.txt: ")


def test_files_that_name_each_other_end() -> None:
    assert judge("-r ../dags/loop.txt\n").verdict == "unknown"


def test_a_file_beside_requirements_txt_is_not_there() -> None:
    assert errors(judge("-r common.txt\n")) == [("local-file", 1)]
    assert judge("-r ../dags/none.txt\n").verdict == "unknown"
    assert errors(judge("-r ../dags/none.txt\n", final=True)) == [("local-file", 1)]


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("-find-links /usr/local/airflow/plugins\n", "warning"),
        ("-index-url https://index.example/simple\n", "warning"),
        ("-constraint /usr/local/airflow/dags/constraints.txt\n", "error"),
        ("-requirement ../dags/common.txt\n", "error"),
        ("-extra-index-url https://index.example/simple\n", "error"),
    ],
)
def test_one_dash_is_another_option(text: str, severity: str) -> None:
    (found,) = [finding for finding in judge(text).findings if finding.rule == "requirement-syntax"]
    assert (found.severity, found.line) == (severity, 1)
    assert "two dashes" in found.remedy


OFFICIAL = "https://raw.githubusercontent.com/apache/airflow/constraints-{}/constraints-{}.txt"


@pytest.mark.parametrize(
    "text",
    [
        f'--constraint "{OFFICIAL.format("3.3.1", "3.12")}"\n-r ../dags/common.txt\n',
        "# -c none\n-r /usr/local/airflow/dags/common.txt\n",
        "# -c none\n-r file:///usr/local/airflow/dags/common.txt\nsix==1.17.0\n",
        "-c ../dags/constraints.txt\npymongo==3.12.0\n",
        "-c ../plugins/constraints.txt\npymongo==4.0\n",
        "-c /usr/local/airflow/plugins/constraints.txt\npymongo\n",
        "--constraint=/usr/local/airflow/dags/constraints.txt\napache-airflow-providers-mongo\n",
        f"-c {OFFICIAL.format('2.11.2', '3.12')}\nrequests\n",
        "-f /usr/local/airflow/plugins\n# -c none\nsix==1.17.0\n",
        "--find-links ../plugins\n# -c none\nsix==1.17.0\n",
        "# -c none\npsycopg2==2.9.12\npsycopg2-binary==2.9.12\n",
        "-c ../dags/constraints.txt\nsix==1.17.0 ; python_version >= '3.8'\n",
    ],
)
def test_what_people_write_is_not_refused(text: str) -> None:
    assert judge(text).verdict != "rejected", judge(text).findings


def question(text: str, environment: object = AIRFLOW_3) -> ResolutionRequest:
    asked: list[ResolutionRequest] = []

    def ask(one: ResolutionRequest) -> Resolution:
        asked.append(one)
        return Resolution("resolved")

    resolved(text.encode(), environment, judge(text), ask, beside=Beside(FILES.get))  # type: ignore[arg-type]
    (one,) = asked
    return one


def test_uv_is_given_what_the_files_beside_say() -> None:
    asked = question("-r ../dags/common.txt\n-c ../dags/constraints.txt\nsix\n")
    assert asked.requirements == ("six", "pymysql==1.1.3")
    assert {"pymongo==3.12.0", "six>=1"} <= set(asked.constraints)
    assert asked.constraint_urls == ()


def test_constraints_of_another_version_that_is_known_need_no_network() -> None:
    asked = question(f"-c {OFFICIAL.format('2.11.2', '3.12')}\nrequests\n")
    assert asked.constraint_urls == ()
    assert any(one.startswith("python-nvd3==") for one in asked.constraints), "only Airflow 2 has it"
    other = OFFICIAL.format("2.11.2", "3.10")
    assert question(f"-c {other}\nrequests\n").constraint_urls == (other,)


def test_what_the_image_has_and_no_index_has_a_wheel_of_is_at_hand() -> None:
    wheels = question("requests\n", AIRFLOW_2_ON_PYTHON_3_11).wheels
    (nvd3,) = [text for name, text in wheels.items() if name.startswith("python_nvd3-")]
    assert "Requires-Dist: Jinja2" in nvd3
    assert any(name.startswith("psycopg2-2.") for name in wheels)


def said_by_uv(*answers: Resolution) -> tuple[Judgement, Resolution | None, list[ResolutionRequest]]:
    """Judge a file that needs thrift, when uv answers so, one question after the other."""
    asked: list[ResolutionRequest] = []
    left = list(answers)

    def ask(one: ResolutionRequest) -> Resolution:
        asked.append(one)
        return left.pop(0)

    text = "apache-airflow-providers-databricks\n"
    judged, answer = resolved(text.encode(), AIRFLOW_3, judge(text), ask)
    return judged, answer, asked


@pytest.mark.parametrize(
    ("name", "marker"),
    [("thrift", ""), ("mysqlclient", "{sys_platform != 'darwin'}"), ("gssapi", ""), ("krb5", ""), ("pykerberos", "")],
)
def test_a_source_that_airflows_constraints_name_is_built_there(name: str, marker: str) -> None:
    """MWAA's image has what is built with MariaDB's and Kerberos's libraries."""
    packages = packages_of("3.3.1")
    assert packages is not None
    version = packages.constraints[name]
    missing = Resolution("not-resolved", f"Because {name}{marker}=={version} has no usable wheels and it is needed")
    good = Resolution("resolved", "", {name: version})
    judged, answer, asked = said_by_uv(missing, good)
    assert (judged.verdict, answer and answer.built) == ("accepted", (name,))
    assert ("built-there", None) in rules(judged)
    assert f"{name}-{version}-py3-none-any.whl" in asked[1].wheels
    assert said_by_uv(missing, missing)[0].verdict == "unknown", "the same question is not asked for ever"
    conflict = Resolution("conflict", "no")
    assert said_by_uv(missing, conflict)[0].verdict == "rejected"


@pytest.mark.parametrize("what", ["thrift==0.0.1", "python-ldap=={python-ldap}", "mine==1"])
def test_another_source_stays_open(what: str) -> None:
    packages = packages_of("3.3.1")
    assert packages is not None
    said = f"Because {what.format(**packages.constraints)} has no usable wheels"
    judged, _, asked = said_by_uv(Resolution("not-resolved", said))
    assert (judged.verdict, len(asked)) == ("unknown", 1)


@pytest.mark.parametrize("bucket", [DROP, LIVE])
def test_the_gate_reads_them_from_the_buckets(world: Buckets, bucket: str) -> None:
    text = b"-c /usr/local/airflow/dags/constraints.txt\n-r ../plugins/common.txt\nsix==1.15\n"
    key = "dags/constraints.txt"
    facts = replace(AIRFLOW_3, source_bucket=LIVE)
    resolver = Resolver(world.s3, DROP, None)
    static = check_requirements(Candidate("requirements.txt", len(text), text), facts)
    assert resolver.judge(text, facts, static).verdict == "unknown"
    world.s3.put_object(Bucket=bucket, Key=key, Body=b"six==1.17.0\n")
    world.s3.put_object(Bucket=bucket, Key="plugins.zip", Body=zip_of([("common.txt", b"celery==1.0\n")]))
    judged = Resolver(world.s3, DROP, None).judge(text, facts, static)
    assert errors(judged) == [("essential-pin", 2), ("constraint-conflict", 3)]
