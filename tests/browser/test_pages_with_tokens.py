"""With tokens configured the status page works without the proxy: open it, sign in, see what goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from rich.console import Console

from tests.browser.test_pages import assert_accessible
from tests.integration.conftest import Deployment
from tests.integration.issuer import Issuer, serve
from tools.emulator import certificates
from tools.progress import Progress
from tools.stack import stack as local_stack
from tools.stack.stack import Stack


@pytest.fixture(scope="module")
def issuer(stack: Stack) -> Iterator[Issuer]:
    with serve(certificates.ensure(Path(stack.state) / "certificates")) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def tokens(stack: Stack, dag: str, deployment: Deployment, issuer: Issuer) -> Stack:
    changes = {"JwtIssuer": issuer.url, "JwtAudience": "jetway", "ReadAuthorization": "JWT"}
    return local_stack.up(
        Progress(Console(stderr=True)), parameters=lambda: deployment.parameters(**changes), faults=True
    )


def test_a_person_signs_in_with_a_token_and_sees_the_status(
    browser: Browser, tokens: Stack, issuer: Issuer, dag: str
) -> None:
    page = browser.new_page()
    page.goto(tokens.http_api_url + "/")
    expect(page.locator("#sign-in")).to_be_visible()
    assert_accessible(page)
    page.locator("#token").fill(issuer.token())
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#environment")).to_contain_text("jetway-local")
    expect(page.locator("#sign-in")).to_be_hidden()
    page.locator("#dag").select_option(dag)
    expect(page.locator("#runs")).not_to_be_empty()
    page.close()
