"""The buckets whose objects are read."""

from __future__ import annotations

from tests.unit.artifacts.conftest import unversioned as unversioned  # noqa: PLC0414 - fixtures of ours as well
from tests.unit.artifacts.conftest import world as world  # noqa: PLC0414
