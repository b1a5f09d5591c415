"""AWS clients: one place makes them, and none may hang for longer than the function that waits for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import pytest

from jetway.wiring import clients
from jetway.wiring.variables import ConfigError
from tests.unit.ledger_table import read_template
from tests.unit.sample_events import ROOT

MAKERS = {"client", "resource", "create_client", "get_session", "Session"}
WIRING = ROOT / "layers/jetway/jetway/wiring"


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for folder in ("functions", "layers/jetway/jetway"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                yield file, node


def calls(names: set[str]) -> Iterator[tuple[Path, ast.Call]]:
    for file, node in nodes():
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called in names:
                yield file, node


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


def test_one_module_makes_all_clients_and_each_has_timeouts_of_its_own() -> None:
    """botocore's own are 60 s a try, longer than most of the functions may take."""
    made = [(file, call) for file, call in calls(MAKERS) if file.parent != WIRING or file.name == "clients.py"]
    assert {file for file, _ in made} == {WIRING / "clients.py"}
    with_times = [call for _, call in made if "config" in {keyword.arg for keyword in call.keywords}]
    assert len(with_times) == len(made) - 2, "all but the two sessions"


def test_only_the_wiring_can_make_one() -> None:
    """boto3 and botocore's session are what makes clients; conditions and errors are not."""
    found = {file for file, node in nodes() if imported(node) & {"boto3", "boto3.session", "botocore.session"}}
    of_types = {file for file in found if "if TYPE_CHECKING:" in file.read_text() and file.parent != WIRING}
    assert found - of_types == {WIRING / "clients.py"}


def test_only_functions_and_the_wiring_itself_import_the_wiring() -> None:
    found = {
        file
        for file, node in nodes()
        if any(name == "jetway.wiring" or name.startswith("jetway.wiring.") for name in imported(node))
    }
    assert {file for file in found if file.parent != WIRING and "functions" not in file.parts} == set()
    assert len([file for file in found if "functions" in file.parts]) == 12, "all but the two without clients"


def test_environment_variables_become_facts_in_the_wiring_only() -> None:
    """import_dag and uv are told less than Lambda tells the function; http_api asks whether Lambda is starting it."""
    found = {
        file.relative_to(ROOT).as_posix()
        for file, node in nodes()
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert found == {
        "functions/http_api/app.py",
        "functions/import_dag/app.py",
        "layers/jetway/jetway/artifacts/requirements/uv_resolve.py",
        "layers/jetway/jetway/wiring/variables.py",
    }


def test_dimensions_are_set_once_in_the_wiring() -> None:
    found = {file for file, _ in calls({"set_default_dimensions", "add_dimension"})}
    without = {"resume_waiting.py"}  # it has no metrics
    modules = {WIRING / f"{app.parent.name}.py" for app in (ROOT / "functions").glob("*/app.py")}
    assert found == {module for module in modules if module.exists() and module.name not in without}


@pytest.mark.parametrize("function", ["ResumeWaiting", "CollectBatch", "StartDagRun", "FollowRuns", "ValidateArtifact"])
def test_all_tries_of_one_call_end_before_the_function(function: str) -> None:
    config: Any = clients.QUICK
    attempts, read_timeout = 3, config.read_timeout
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts}
    timeout = int(read_template()["Resources"][function]["Properties"]["Timeout"])
    assert attempts * (clients.CONNECT_TIMEOUT + read_timeout) < timeout


@pytest.mark.parametrize(("wait", "function"), [("LOADING", "ImportDagAirflow3"), ("RESOLVING", "ResolveRequirements")])
def test_a_function_that_is_waited_for_is_given_its_time_and_is_asked_once(wait: str, function: str) -> None:
    config: Any = getattr(clients, wait)
    assert config.retries["total_max_attempts"] == 1
    assert config.read_timeout > int(read_template()["Resources"][function]["Properties"]["Timeout"])


@pytest.mark.parametrize("version", ["1.35.0", "1.40.60", "1.9.99", "0.99"])
def test_a_botocore_that_does_not_know_the_requests_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise CopyObject would be refused by botocore itself: ten tries of each file, and nothing promoted."""
    monkeypatch.setattr(botocore, "__version__", version)
    clients._session.cache_clear()
    with pytest.raises(ConfigError, match=rf"botocore {version} .*1\.40\.61 or later.*PythonRuntime"):
        clients.client("s3")
    clients._session.cache_clear()


@pytest.mark.parametrize("version", ["1.40.61", "1.41.0", "1.44.8", "2.0.0", "1.50.0rc1.dev0"])
def test_a_botocore_that_knows_them_is_taken(version: str) -> None:
    clients.check_botocore(version)


def test_the_oldest_botocore_is_one_that_knows_what_is_asked_since_which_these_tests_run_on() -> None:
    made: Any = clients.client("s3").meta.service_model
    assert {"IfMatch", "IfNoneMatch"} <= made.operation_model("CopyObject").input_shape.members.keys()
