"""Lambda on loopback, as far as doctor asks it; API Gateway and Service Quotas, of which moto has too little."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

NOT_THERE = {"Type": "User", "Message": "Not there."}


@dataclass
class LambdaServer:
    """Lambda, with one function for each of the stack's.

    Attributes:
        functions: GetFunctionConfiguration's answers by name.
        mappings: GetEventSourceMapping's answers by UUID.
        policies: statements of each function's own policy, by Sid.
        configs: GetFunctionEventInvokeConfig's answers by function.
        urls: addresses of their own that functions have.
        api: what API Gateway has, by path.
        loops: whether a function that calls itself is let through.
        lacks: what it does not know how to answer about a function: "recursion-config".
        loaded: what import_dag answers.
        asked: requests that it got: method and path.
    """

    functions: dict[str, dict[str, Any]] = field(default_factory=dict)
    mappings: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    urls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    api: dict[str, dict[str, Any]] = field(default_factory=dict)
    loops: dict[str, str] = field(default_factory=dict)
    lacks: set[str] = field(default_factory=set)
    concurrency: int = 1000
    reserved: int | None = None
    loaded: dict[str, Any] = field(
        default_factory=lambda: {"airflow": "3.3.1", "loaded": [{"verdict": "accepted", "findings": []}]}
    )
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> Mapping[str, Any] | None:
        """Return the answer to a request; None for 404."""
        if path == "/":  # Service Quotas
            return {"Quotas": [{"QuotaName": "Number of rules", "Value": 300.0}]}
        if path.endswith("/account-settings"):
            return {"AccountLimit": {"ConcurrentExecutions": self.concurrency}}
        if path.endswith("/invocations"):
            return self.loaded
        if path.startswith("/v2/apis/"):
            return self._of_api(unquote(path.partition("?")[0]))
        if found := re.search(r"/event-source-mappings/([^/?]+)", path):
            return self.mappings.get(unquote(found[1]))
        _, _, kind, name, what, *_ = (*re.split(r"[/?]", path), "", "")
        return self._of_function(unquote(name), what) if kind == "functions" else None

    def _of_function(self, name: str, what: str) -> Mapping[str, Any] | None:
        if name not in self.functions:
            return None
        statements = list(self.policies.get(name, {}).values())
        answers: Mapping[str, Mapping[str, Any] | None] = {
            "configuration": self.functions[name],
            "concurrency": {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved},
            "policy": {"Policy": json.dumps({"Statement": statements})} if statements else None,
            "event-invoke-config": self.configs.get(name),
            "urls": {"FunctionUrlConfigs": self.urls.get(name, [])},
            "recursion-config": {"RecursiveLoop": self.loops.get(name, "Terminate")},
        }
        return answers[what]

    def _of_api(self, path: str) -> Mapping[str, Any] | None:
        if path.endswith("/routes"):
            return {"items": [found for name, found in self.api.items() if name.startswith(f"{path}/")]}
        return self.api.get(path)

    def __enter__(self) -> LambdaServer:
        """Listen."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.command, self.path))
                found = server.answer(self.path)
                body = json.dumps(NOT_THERE if found is None else found).encode()
                lacked = any(self.path.endswith(f"/{what}") for what in server.lacks)
                self.send_response(501 if lacked else 404 if found is None else 200)
                if lacked:
                    self.send_header("X-Amzn-ErrorType", "NotImplementedException")
                elif found is None:
                    gone = "NotFoundException" if self.path.startswith("/v2/") else "ResourceNotFoundException"
                    self.send_header("X-Amzn-ErrorType", gone)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
