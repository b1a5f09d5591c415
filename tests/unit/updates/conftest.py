"""The buckets and tables that artifacts live in."""

from __future__ import annotations

from tests.unit.promotion.conftest import world as world  # noqa: PLC0414 - a fixture of ours as well
