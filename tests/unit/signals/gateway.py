"""What the command line reaches over HTTP: API Gateway before the HTTP API's function, and CloudFormation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from tests.unit.http.function import ask


class Stack(Protocol):
    """What stands behind the gateway.

    Attributes:
        parameters: of the stack.
        after_each_call: goes on when a request is answered.
    """

    parameters: dict[str, str]
    after_each_call: Callable[[], object]

    def outputs(self) -> Mapping[str, str]:
        """Return the stack's outputs."""
        ...


class Gateway(HTTPServer):
    """Turns requests into events of the function, one at a time, in the thread that calls `handle_request`."""

    timeout = 0.02  # seconds that handle_request waits for one

    def __init__(self, stack: Stack) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/":
                    self._send(200, {"Content-Type": "text/xml"}, _described(stack.outputs(), stack.parameters))
                    return
                assert "/execute-api/aws4_request" in self.headers["Authorization"]
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                query = dict(parse_qsl(parts.query))
                answer = ask(self.command, parts.path, query=query, body=body.decode(), headers=headers)
                with contextlib.suppress(ConnectionError):  # who is in a hurry has hung up
                    self._send(answer["statusCode"], answer["headers"], answer["body"])
                    self.connection.close()
                stack.after_each_call()

            def do_POST(self) -> None:
                self.do_GET()

            def _send(self, status: int, headers: Mapping[str, str], body: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
                """Say nothing: pytest shows what matters."""

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Let the test see what went wrong."""
        raise  # noqa: PLE0704 - it is called where an exception is handled

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def _described(outputs: Mapping[str, str], parameters: Mapping[str, str]) -> str:
    """DescribeStacks' answer.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
    """
    named = {"Output": outputs, "Parameter": parameters}
    members = {
        kind: "".join(
            f"<member><{kind}Key>{name}</{kind}Key><{kind}Value>{value}</{kind}Value></member>"
            for name, value in values.items()
        )
        for kind, values in named.items()
    }
    return (
        '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
        "<Stacks><member><StackName>jetway</StackName><CreationTime>2026-11-22T06:00:00Z</CreationTime>"
        f"<StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{members['Output']}</Outputs>"
        f"<Parameters>{members['Parameter']}</Parameters></member></Stacks>"
        "</DescribeStacksResult></DescribeStacksResponse>"
    )
