"""What every unit test begins with."""

from __future__ import annotations

import functools
import gc
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from botocore import hooks, httpsession, loaders, regions, useragent
from moto import backend_index
from moto.core import models, responses
from moto.core.base_backend import BaseBackend
from moto.dynamodb.parsing import validators

from tests.unit.cold import forget_wired

_FILES: Any = loaders.JSONFileLoader  # its stubs leave this method out
_load = _FILES._load_file


@functools.cache
def _load_once(path: str, open_method: Any) -> Any:
    return _load(_FILES(), path, open_method)


# moto forgets boto3's session with every test, and botocore then parses the models of all services anew: most of the
# time that a test of ours takes. Within one process they stay the same; only that of SQS is changed by its clients.
_FILES._load_file = lambda self, path, open_method: (
    _load(self, path, open_method) if "/sqs/" in path and "service-" in path else _load_once(path, open_method)
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


# Every session looks anew at the signatures of all of botocore's own hooks.
_HOOKS: Any = hooks
_accepts_kwargs = functools.lru_cache(maxsize=1024)(_HOOKS.accepts_kwargs)
_HOOKS.accepts_kwargs = lambda handler: _accepts_kwargs(getattr(handler, "__func__", handler))

# Every client would make an object of each of its service's rules for endpoints.
_REGIONS: Any = regions
_Provider = _REGIONS.EndpointProvider
_providers: dict[int, tuple[Any, Any]] = {}


def _share_provider(ruleset_data: Any, partition_data: Any, excluded_params: Any = None) -> Any:
    made = _providers.get(id(ruleset_data))
    if made is None:  # the rules are kept, so that no others get their id
        made = _providers[id(ruleset_data)] = ruleset_data, _Provider(ruleset_data, partition_data, excluded_params)
    return made[1]


_REGIONS.EndpointProvider = _share_provider

# A context of TLS takes milliseconds. urllib3 makes one for whoever has none, once there is a connection: mostly never.
_SENDER: Any = httpsession.URLLib3Session
_SENDER._get_ssl_context = lambda _self: None

# What botocore and moto find out anew with each call, and what is the same each time.
useragent.sanitize_user_agent_string_component = functools.cache(useragent.sanitize_user_agent_string_component)
_MOTO: Any = models
_MOTO.CallbackResponse = functools.cache(_MOTO.CallbackResponse)  # more than a thousand for each test
_ANSWERS: Any = responses
_ANSWERS.method_names_from_class = functools.cache(_ANSWERS.method_names_from_class)

# moto compares each call's address with those of all services, one after the other: these two are called most.
backend_index.backend_url_patterns.sort(key=lambda pattern: pattern[0] not in {"dynamodb", "sqs"})

_BACKEND: Any = BaseBackend
_find_urls = _BACKEND.urls.fget
_urls: dict[type, Any] = {}


def _find_urls_once(self: Any) -> Any:
    """Put the addresses of a service together once; for S3 moto would load a module anew with each call."""
    if type(self) not in _urls:
        _urls[type(self)] = _find_urls(self)
    return _urls[type(self)]


_BACKEND.urls = property(_find_urls_once)


def _check_the_whole(validator: Any, check: str) -> None:
    """Check an update expression once: moto does it with each of its parts again, of which the whole consists."""
    of_each = getattr(validator, check)
    setattr(validator, check, lambda self, node: of_each(self, node) if node.parent is None else node)


_check_the_whole(validators.ActionCountValidator, "verify_action_counts")
_check_the_whole(validators.OverlappingPathsValidator, "check_for_overlapping_paths")


# These drive AWS in process, or programs, through many steps: half of the time of all unit tests.
THOROUGH = {
    "batches/test_batches.py",
    "cli/test_redrive.py",
    "cli/test_run.py",
    "cli/test_triggers.py",
    "dispatch/test_crashes.py",
    "dispatch/test_waiting.py",
    "emulator/test_fork_server.py",
    "emulator/test_gateway_service.py",
    "gate/test_gate.py",
    "http/test_pages.py",
    "http/test_webhooks.py",
    "signals/test_dag.py",
    "signals/test_environment.py",
    "signals/test_event.py",
    "signals/test_file.py",
    "signals/test_run.py",
    "signals/test_trigger.py",
    "sync/test_sync.py",
}
HERE = Path(__file__).parent


def pytest_collection_finish() -> None:
    """Leave what was imported out of all further garbage collections, which would take a twentieth of the time."""
    gc.collect()
    gc.freeze()


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
