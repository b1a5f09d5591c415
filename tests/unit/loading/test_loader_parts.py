"""Parts of jetway_loader that need no Airflow: its settings, and what stands for things that are not there."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jetway_loader import settings
from jetway_loader.__main__ import main
from jetway_loader.env_stubs import UnseenMapping, UnseenText
from jetway_loader.fork_pool import Ended
from jetway_loader.inventory import Inventory
from jetway_loader.model import Options
from jetway_loader.package_stubs import Anything, anything
from jetway_loader.source_lines import Sightings
from jetway_loader.verdicts import judge


def test_a_value_that_nobody_knows_passes_for_a_number_a_text_and_a_mapping() -> None:
    text = UnseenText("1")
    assert (int(text), float(text), text + "x", text[0]) == (1, 1.0, "1x", "1")
    assert text["schema"] is text
    assert text.get("schema") is text
    assert text.get("schema", "mine") == "mine"
    mapping = UnseenMapping()
    assert (mapping["any"], mapping.get("any"), mapping.get("any", 5), list(mapping)) == ("1", "1", 5, [])


def test_what_stands_for_a_package_takes_everything() -> None:
    client = anything("Client", "acme")
    one = client("host", port=1)
    assert isinstance(one, Anything)
    assert client.__module__ == "acme"
    assert isinstance(one.session.get("x", timeout=3), Anything)
    assert isinstance(client.default, type)
    assert (list(client), list(one), len(one), bool(one)) == ([], [], 0, True)
    assert client["key"] is client
    assert one["key"] is one
    with one as entered:
        assert entered is one
    assert client | None == None | client  # annotations of it can be read


class Dag:
    """What Airflow's DAG is to the sightings."""

    def __init__(self, dag_id: str) -> None:
        self.dag_id = dag_id


class Node:
    def _set_relatives(self) -> None: ...


def test_a_dag_that_is_made_after_the_environment_was_asked_may_be_named_by_a_stand_in() -> None:
    class Made(Dag):
        __init__ = Dag.__init__

    sightings = Sightings("/dags/orders.py")
    sightings.install(SimpleNamespace(dag=Made, node=type("Made", (Node,), {})))  # type: ignore[arg-type]
    Made("before")
    assert sightings.is_sure("before")
    sightings.environment_asked()
    Made("after")
    assert (sightings.is_sure("before"), sightings.is_sure("after"), sightings.is_sure("renamed")) == (
        True,
        False,
        False,
    )


def test_a_failure_for_what_only_the_environment_has_is_one_finding_with_the_reason_in_it() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/dags/orders.py", line 4, in <module>\n    x = TABLES[key]\n'
        "KeyError: '1'\n"
    )
    told: list[dict[str, Any]] = [
        {"begun": True},
        {"unseen": ["Variable", "table", 3]},
        {"error": trace, "unseen_led": True},
        {"done": True, "seconds": 0.1, "cpu_seconds": 0.1},
    ]
    ended = Ended("/dags/orders.py", told, seconds=0.1)
    judged = judge(ended, "orders.py", "/dags/orders.py", "/dags", Options())
    (finding,) = judged.findings
    assert (judged.verdict, finding.rule, finding.severity, finding.line) == ("unknown", "import-error", "warning", 4)
    assert finding.message == (
        "KeyError: '1'. This is not certain: the file depends on something that only the environment has "
        "(Variable 'table'). The file goes live and is checked there."
    )
    assert finding.remedy.startswith("Read Variables")


@pytest.mark.parametrize(
    ("module", "verdict"), [("google.cloud", "unknown"), ("airflow.models", "rejected"), ("known", "rejected")]
)
def test_what_a_namespace_lacks_may_come_with_a_package_of_unknown_content(module: str, verdict: str) -> None:
    trace = (
        "Traceback (most recent call last):\n"
        f'  File "/dags/orders.py", line 4, in <module>\n    from {module} import thing\n'
        f"ImportError: cannot import name 'thing' from '{module}' (unknown location)\n"
    )
    done = {"done": True, "seconds": 0.1, "cpu_seconds": 0.1}
    ended = Ended("/dags/orders.py", [{"begun": True}, {"error": trace}, done], seconds=0.1)
    options = Options(unlisted=frozenset({"what a provider needs"}), inventory=Inventory({"known": "name"}))
    assert judge(ended, "orders.py", "/dags/orders.py", "/dags", options).verdict == verdict
    assert judge(ended, "orders.py", "/dags/orders.py", "/dags", Options()).verdict == "rejected"


def test_the_place_of_the_copy_is_in_no_words() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/dags/orders.py", line 4, in <module>\n    walk()\n'
        "RuntimeError: nothing in /tmp/copy-17/sql/orders\n"
    )
    done = {"done": True, "seconds": 0.1, "cpu_seconds": 0.1}
    ended = Ended("/dags/orders.py", [{"begun": True}, {"error": trace}, done], seconds=0.1)
    judged = judge(ended, "orders.py", "/dags/orders.py", "/dags", Options(), places=(Path("/tmp/copy-17"),))
    assert judged.findings[0].message == "RuntimeError: nothing in sql/orders"


def test_as_a_decorator_it_leaves_the_function_alone() -> None:
    def function() -> int:
        return 5

    assert anything("task", "acme")()(function) is function


@pytest.mark.parametrize("thing", [anything("Client", "acme"), anything("Client", "acme")()])
def test_it_has_no_special_methods_that_python_would_believe_in(thing: object) -> None:
    assert not hasattr(thing, "__fspath__")


def test_settings_of_the_shell_are_not_airflows(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    template.write_text("tables")
    home = tmp_path / "home"
    home.mkdir()
    environ = {"AIRFLOW__CORE__FERNET_KEY": "secret", "PATH": "/bin"}
    settings.set_up(home, tmp_path / "dags", template=template, environ=environ)
    assert "AIRFLOW__CORE__FERNET_KEY" not in environ
    assert (environ["PATH"], environ["AIRFLOW_HOME"]) == ("/bin", str(home))
    assert environ["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "dags")
    assert (home / "airflow.db").read_text() == "tables"


def test_options_of_the_environment_count_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    there, gone = sorted(settings.HONOURED)[:2]
    names = list(settings.as_variables({there: "1", gone: "2", "no.such": "3"}))
    assert len(names) == 2, "those that a DAG file can see"
    monkeypatch.setenv(names[0], "before")
    monkeypatch.delenv(names[1], raising=False)
    with settings.applied({there: "1", gone: "2"}):
        assert [os.environ[name] for name in names] == ["1", "2"]
    assert [os.environ.get(name) for name in names] == ["before", None]


def test_airflow_3_needs_no_tables() -> None:
    settings.migrate("3.3.1")  # and imports no Airflow, of which there is none here


def test_a_folder_or_a_file_that_is_not_there_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([str(tmp_path / "none")], [str(tmp_path), "none.py"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    assert "none.py is not a file in" in capsys.readouterr().err
