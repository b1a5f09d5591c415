"""Pages for people: the status page, the API's description, and Swagger UI to try it with.

Nothing comes from anywhere else: Swagger UI is the copy that Powertools carries, so it is pinned with it. The policies
allow only what a page is: its own script and style by their digests, and calls to the API that serves it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import aws_lambda_powertools

SWAGGER_UI = Path(aws_lambda_powertools.__file__).parent / "event_handler" / "openapi" / "swagger_ui"

# Served under docs/; names are those that pages ask for.
ASSETS = {
    "swagger-ui.css": ("text/css", SWAGGER_UI / "swagger-ui.min.css"),
    "swagger-ui-bundle.js": ("text/javascript", SWAGGER_UI / "swagger-ui-bundle.min.js"),
}

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class Page:
    """One file as it is sent."""

    content_type: str
    body: str
    headers: dict[str, str]


def read_page(file: Path, *, swagger: bool = False) -> Page:
    """Return an HTML page with the policy that fits it.

    Args:
        file: the page; its scripts and styles are inline, without attributes.
        swagger: the page loads Swagger UI, which draws with `data:` images.
    """
    html = file.read_text()
    policy = (
        f"default-src 'none'; script-src {_sources(html, 'script', swagger=swagger)}; "
        f"style-src {_sources(html, 'style', swagger=swagger)}; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(
        "text/html; charset=utf-8", html, {"Content-Security-Policy": policy, "Cache-Control": "no-cache", **_SAFE}
    )


def read_asset(name: str) -> Page | None:
    """Return an asset of Swagger UI, None when there is none of that name."""
    if name not in ASSETS:
        return None
    content_type, file = ASSETS[name]
    return Page(
        f"{content_type}; charset=utf-8", file.read_text(), {"Cache-Control": "private, max-age=86400", **_SAFE}
    )


def _sources(html: str, element: str, *, swagger: bool) -> str:
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(match[2].encode()).digest()).decode()}'"
        for match in _INLINE.finditer(html)
        if match[1] == element
    ]
    return " ".join([*(["'self'"] if swagger else []), *digests]) or "'none'"
