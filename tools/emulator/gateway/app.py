"""Routes a request: the control plane, the web server, or what only the local stack has (`/_local/…`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from tools.emulator.gateway.faults import FaultError, Faults
from tools.emulator.gateway.server import AnswerLostError, Request, Response, json_response, text_response

if TYPE_CHECKING:
    from tools.emulator.gateway.cli import CliEndpoint
    from tools.emulator.gateway.control import ControlPlane
    from tools.emulator.gateway.rest import WebServer
    from tools.emulator.gateway.throttle import Throttle

_CONTROL = ("/environments", "/clitoken/", "/webtoken/", "/restapi/")


class Gateway:
    """The whole gateway as a function from request to response.

    Args:
        web_url: Airflow's own pages, to which a person's browser is sent.
        ready: whether commands can be run.
        injection: whether faults may be injected.
    """

    def __init__(
        self,
        *,
        control: ControlPlane,
        cli: CliEndpoint,
        web: WebServer,
        faults: Faults,
        throttle: Throttle,
        web_url: str,
        ready: Callable[[], bool],
        injection: bool,
    ) -> None:
        self._control = control
        self._cli = cli
        self._web = web
        self._faults = faults
        self._throttle = throttle
        self._web_url = web_url
        self._ready = ready
        self._injection = injection

    def __call__(self, request: Request) -> Response:
        path = request.path
        if path.startswith("/_local/"):
            return self._local(request)
        if path.startswith(_CONTROL):
            response = self._control.handle(request)
            if path.startswith("/restapi/") and self._faults.strikes("lose_answer", "rest"):
                raise AnswerLostError
            return response
        return self._web_server(request)

    def _web_server(self, request: Request) -> Response:
        if self._faults.web_server_down():
            raise AnswerLostError
        if not self._control.usable():
            return text_response(503, "Service Unavailable")
        if request.path.rstrip("/") == "/aws_mwaa/cli":
            return self._cli.handle(request)
        if request.path.rstrip("/") == self._web.login_path and request.method == "POST":
            return self._web.login(request)
        if request.path.startswith("/api/"):
            return self._web.api(request)
        if request.path == "/" and request.method == "GET":
            return Response(302, headers={"Location": self._web_url})
        return json_response(404, {"message": "Not Found"})

    def _local(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/_local/health":
                up = self._ready()
                return json_response(200 if up else 503, {"status": "ready" if up else "starting"})
            case "GET", "/_local/counters":
                return json_response(200, self._faults.counters())
        if self._injection and request.path == "/_local/faults":
            return self._inject(request)
        if self._injection and request.path == "/_local/throttle":
            return self._throttled(request)
        return json_response(404, {"message": "Not Found"})

    def _inject(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            try:
                self._faults.add(json.loads(request.body))
            except (FaultError, ValueError, TypeError, AttributeError) as exc:
                return json_response(400, {"message": str(exc)})
        elif request.method != "GET":
            return json_response(405, {"message": "Method Not Allowed"})
        return json_response(200, self._faults.active())

    def _throttled(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self._throttle.change(json.loads(request.body))
            except (ValueError, TypeError, AttributeError) as exc:
                return json_response(400, {"message": str(exc)})
        elif request.method != "GET":
            return json_response(405, {"message": "Method Not Allowed"})
        return json_response(200, self._throttle.rates)
