"""What every unit test begins with."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from botocore import loaders

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


@pytest.fixture(autouse=True)
def _fresh_metrics() -> None:
    """Powertools keeps metrics and dimensions on the class: one test's environment must not be another's."""
    for kept in (Metrics._metrics, Metrics._dimensions, Metrics._metadata, Metrics._default_dimensions):
        kept.clear()
