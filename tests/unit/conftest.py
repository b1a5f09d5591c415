"""What every unit test begins with."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from botocore import hooks, loaders

from tests.unit.cold import forget_wired

_FILES: Any = loaders.JSONFileLoader  # its stubs leave this method out
_load = _FILES._load_file


@functools.cache
def _load_once(path: str, open_method: Any) -> Any:
    return _load(_FILES(), path, open_method)


# moto forgets boto3's session with every test, and botocore then parses the models of all services anew: most of the
# time that a test of ours takes. Within one process they stay the same; only that of SQS is changed by its clients.
_FILES._load_file = lambda self, path, open_method: (
    _load(self, path, open_method) if "/sqs/" in path else _load_once(path, open_method)
)


_LOADER: Any = loaders.Loader
_list_services = _LOADER.list_available_services


_services: dict[tuple[tuple[str, ...], str], list[str]] = {}


def _list_once(self: Any, type_name: str) -> list[str]:
    """Look once for the folders of all services, and not again with every session."""
    key = (tuple(self.search_paths), type_name)
    if key not in _services:
        _services[key] = _list_services(self, type_name)
    return _services[key]


_LOADER.list_available_services = _list_once


_ALIASER: Any = hooks.EventAliaser
_make_aliaser = _ALIASER.__init__
_event_names: dict[str, str] = {}


def _share_names(self: Any, emitter: Any, event_aliases: Any = None) -> None:
    """Let every session know what the others have found out about the names of botocore's events."""
    _make_aliaser(self, emitter, event_aliases)
    if self._event_aliases == hooks.EVENT_ALIASES:
        self._alias_name_cache = _event_names


_ALIASER.__init__ = _share_names


# These drive AWS in process, or programs, through many steps: half of the time of all unit tests.
THOROUGH = {
    "artifacts/test_gate.py",
    "batches/test_batches.py",
    "cli/test_redrive.py",
    "cli/test_run.py",
    "cli/test_triggers.py",
    "live/test_crashes.py",
    "live/test_updates.py",
    "live/test_verification.py",
    "local/test_fork_server.py",
    "local/test_gateway_service.py",
    "signals/test_dag.py",
    "signals/test_environment.py",
    "signals/test_event.py",
    "signals/test_file.py",
    "signals/test_run.py",
    "signals/test_trigger.py",
    "test_crashes.py",
    "test_http_pages.py",
    "test_waiting.py",
    "test_webhooks.py",
    "triggers/test_sync.py",
}
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.path.relative_to(HERE).as_posix() in THOROUGH:
            item.add_marker(pytest.mark.thorough)


@pytest.fixture(autouse=True)
def _fresh_metrics() -> None:
    """Powertools keeps metrics and dimensions on the class: one test's environment must not be another's."""
    for kept in (Metrics._metrics, Metrics._dimensions, Metrics._metadata, Metrics._default_dimensions):
        kept.clear()


@pytest.fixture(autouse=True)
def _cold_functions() -> None:
    """What a function has kept warm is of another test's AWS."""
    forget_wired()
