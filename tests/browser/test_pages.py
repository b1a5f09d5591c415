"""What people see and do: the status page and Swagger UI in a real browser, on real Airflow."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from jetway.ledger import Entry, Ledger
from jetway_cli.signing_proxy import Proxy
from tests.integration.conftest import drop
from tools import venvs
from tools.emulator.ministack.service import CREDENTIALS, REGION
from tools.stack.calls import call_api
from tools.stack.stack import Stack

RUN_ID = "from-the-browser"

expect.set_options(timeout=60_000)


@pytest.fixture
def busy(stack: Stack, dag: str) -> str:
    """A stack with something to show: a run, an event that found no DAG, a file that was refused."""
    drop(stack, "dags/broken.py", b"def load(:\n    pass\n")
    dynamodb = boto3.resource(
        "dynamodb",
        endpoint_url=stack.endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    Ledger(dynamodb.Table(stack.outputs["LedgerTableName"])).record(
        Entry(
            id="orders#1",
            trigger="orders",
            kind="s3",
            identity=("s3", "acme", "a.csv", "version-id", "1"),
            decision="dead-lettered",
            because="dag-not-found: Airflow has no DAG 'no_such_dag'.",
            decided_at=datetime.now(UTC),
            dag_id="no_such_dag",
        )
    )
    answer = call_api(stack, "POST", f"/dags/{dag}/dagRuns", body={}, headers={"Prefer": "wait=25, state=final"})
    assert answer.status_code in {200, 202}
    return dag


def shoot(page: Page, name: str) -> None:
    """Take a picture; those that are committed (README) are only replaced with PICTURES=docs/pictures."""
    folder = Path(os.environ.get("PICTURES") or venvs.HOME / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


def assert_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    assert [(found["id"], [node["html"] for node in found["nodes"]]) for found in violations] == []


@pytest.mark.parametrize(("scheme", "width", "name"), [("light", 1280, "status"), ("dark", 390, "status-phone")])
def test_the_status_page_shows_what_goes_on_to_everybody(
    context: BrowserContext, proxy: Proxy, busy: str, scheme: str, width: int, name: str
) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(proxy.origin)
    expect(page.locator("#environment")).to_contain_text("jetway-local, Airflow ")
    expect(page.locator("#gauges")).to_contain_text("AVAILABLE")
    expect(page.locator("#artifacts")).to_contain_text("dags/broken.py")
    expect(page.locator("#artifacts")).to_contain_text(re.compile("line 1: "))
    expect(page.locator("#events")).to_contain_text("no_such_dag")
    expect(page.locator("#workers")).to_contain_text("Workers required", timeout=150_000)  # measured every minute
    expect(page.locator("#verdict")).not_to_contain_text("Loading")
    page.locator("#dag").select_option(busy)
    expect(page.locator("#runs")).to_contain_text("success")
    assert_accessible(page)
    shoot(page, name)
    # A phone scrolls down, never sideways.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_swagger_ui_starts_a_run_and_shows_it(context: BrowserContext, proxy: Proxy, dag: str) -> None:
    page = context.new_page()
    page.goto(f"{proxy.origin}/docs")
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container", has_text="bearer").locator("input").first.fill("of-nobody: the proxy signs")
    page.locator(".auth-container", has_text="bearer").get_by_role("button", name=re.compile("Apply|Authorize")).click()
    page.locator(".modal-ux .close-modal, .modal-ux .btn-done").first.click()

    post = page.locator("#operations-DagRun-trigger_dag_run")
    post.locator(".opblock-summary-control").click()
    post.get_by_placeholder("dag_id").fill(dag)
    post.locator("tr[data-param-name=Prefer] input").fill("wait=25, state=final")
    post.locator("textarea").fill(f'{{"dag_run_id": "{RUN_ID}", "conf": {{"who": "a browser"}}}}')
    post.get_by_role("button", name="Execute").click()
    expect(post.locator(".live-responses-table .response .response-col_status").first).to_have_text(
        re.compile("^20[02]")
    )
    expect(post.locator(".live-responses-table")).to_contain_text(RUN_ID)

    get = page.locator("#operations-DagRun-get_dag_run")
    get.locator(".opblock-summary-control").click()
    get.get_by_placeholder("dag_id").fill(dag)
    get.get_by_placeholder("dag_run_id").fill(RUN_ID)
    get.get_by_role("button", name="Execute").click()
    expect(get.locator(".live-responses-table .response .response-col_status").first).to_have_text(re.compile("^200"))
    expect(get.locator(".live-responses-table")).to_contain_text('"state"')
    shoot(page, "docs")
