"""/ and /docs: pages for people, and the API's description."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aws_lambda_powertools.event_handler import Response

from jetway.http import responses as answers
from jetway.http.problems import NO_SUCH_RESOURCE
from jetway.http.routes.request import make_router

if TYPE_CHECKING:
    from pathlib import Path

    from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter


def routes(folder: Path) -> APIGatewayHttpRouter:
    """Return the routes of pages.

    Args:
        folder: where the pages are.
    """
    router = make_router()

    @router.get("/", include_in_schema=False)
    def get_status_page() -> Response[str]:
        """Show people what goes on."""
        from jetway.http.pages import read_page

        return answers.page_answer(read_page(folder / "status.html"))

    @router.get("/docs", include_in_schema=False, compress=True)
    def get_docs_page() -> Response[str]:
        """Show people the API."""
        from jetway.http.pages import read_page

        return answers.page_answer(read_page(folder / "docs.html", swagger=True))

    @router.get("/docs/<file>", include_in_schema=False, compress=True)
    def get_docs_asset(file: str) -> Response[str]:
        """Send what the page of the API is made of."""
        from jetway.http.pages import read_asset

        asset = read_asset(file)
        if asset is None:
            return answers.problem_answer(NO_SUCH_RESOURCE, router.current_event.path)
        return answers.page_answer(asset)

    @router.get("/openapi.json", include_in_schema=False, compress=True)
    def get_openapi() -> Response[str]:
        """Send the API's description, made when the function was built."""
        content = (folder / "openapi.json").read_text()
        return Response(HTTPStatus.OK.value, "application/json", content, {"Cache-Control": "no-cache"})

    return router
