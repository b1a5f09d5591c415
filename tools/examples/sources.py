"""Systems outside AWS that the examples ask: a provider of exchange rates, and orders behind a password.

What they know is in docs/samples/: the same rates for every day, and the orders of onprem_orders.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
import threading
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from tools.venvs import ROOT

SAMPLES = ROOT / "docs/samples"
LOGIN = "jetway"


class Sources(AbstractContextManager["Sources"]):
    """Serves `/rates?day=…` to everybody and `/orders/<n>` to who knows the password, on a loopback port of its own.

    Attributes:
        password: of the user `LOGIN`; made anew each time.
        asked: paths of the requests that were answered with 200, in order.
    """

    def __init__(self) -> None:
        self.password = secrets.token_urlsafe(12)
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="sources", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Sources:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, authorization: str) -> tuple[HTTPStatus, object]:
        """What a GET is answered with."""
        parts = urlsplit(path)
        if parts.path == "/rates":
            day = parse_qs(parts.query).get("day", [""])[0]
            return HTTPStatus.OK, {"day": day, "rates": _sample("provider_rates/rates.json")}
        order = re.fullmatch(r"/orders/(\d+)", parts.path)
        if order is None or not (SAMPLES / f"onprem_orders/order-{order[1]}.json").exists():
            return HTTPStatus.NOT_FOUND, {"error": f"there is no {parts.path}"}
        wanted = "Basic " + base64.b64encode(f"{LOGIN}:{self.password}".encode()).decode()
        if not hmac.compare_digest(wanted, authorization):
            return HTTPStatus.UNAUTHORIZED, {"error": "who are you?"}
        return HTTPStatus.OK, _sample(f"onprem_orders/order-{order[1]}.json")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sources = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that http.server looks for
                status, found = sources.answer(self.path, self.headers.get("Authorization", ""))
                if status == HTTPStatus.OK:
                    sources.asked.append(self.path)
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: what was asked is in `asked`."""

        return Handler


def _sample(name: str) -> object:
    return json.loads((SAMPLES / name).read_bytes())
