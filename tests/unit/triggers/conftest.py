"""AWS in process, as trigger files meet it."""

from __future__ import annotations

from tests.unit.sync.conftest import world as world  # noqa: PLC0414 - a fixture of ours as well
