"""A real browser before the local stack: `make test-browser`. Chromium or Chrome is the machine's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.credentials import Credentials
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from jetway_cli.signing_proxy import Proxy, serve
from tests.integration.conftest import dag, deployment, stack  # noqa: F401 - fixtures
from tools.emulator.ministack.service import CREDENTIALS, REGION
from tools.stack.stack import Stack

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def credentials() -> Credentials:
    return Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])


@pytest.fixture(scope="session")
def proxy(stack: Stack, credentials: Credentials) -> Iterator[Proxy]:  # noqa: F811 - the fixture
    with serve(stack.http_api_url, lambda: credentials, REGION) as proxy:
        yield proxy


def find_browser() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def pytest_sessionstart() -> None:
    if find_browser() is None:  # said before a stack is deployed for nothing
        pytest.exit(
            f"No browser: install one of {', '.join(NAMES)} (Debian: apt-get install chromium), or set CHROMIUM to "
            "its path. Nothing is downloaded.",
            returncode=1,
        )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Containers run as root, where Chromium's sandbox refuses to start; only our own pages are opened.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, proxy: Proxy) -> Iterator[BrowserContext]:
    """A browser that has opened the printed address; whatever a page complains of fails its test."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("request", lambda request: _only_ours(request.url, proxy, complaints))
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(proxy.address)
    page.close()
    yield context
    context.close()
    assert complaints == []


def _only_ours(url: str, proxy: Proxy, complaints: list[str]) -> None:
    if not url.startswith((proxy.origin, "data:", "blob:")):
        complaints.append(f"a page asked {url}")
