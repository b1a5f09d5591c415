"""The local stack for calls that schemathesis makes. Apart from tests/browser: its pytest plugin and Playwright's
greenlets do not go together."""

from __future__ import annotations

import pytest
from botocore.credentials import Credentials

from tests.integration.conftest import deployment, stack  # noqa: F401 - fixtures
from tools.emulator.ministack.service import CREDENTIALS


@pytest.fixture(scope="session")
def credentials() -> Credentials:
    return Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
