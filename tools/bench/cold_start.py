"""Cold and warm starts of the HTTP API's function: `make bench-cold-start`.

The function as `sam build` makes it runs under the real runtime client (awslambdaric) in an environment that has
nothing but its layer and boto3. SQS and S3 are a server on loopback. Left out is AWS's own part of a cold start:
fetching the code and starting the sandbox. Figures are of this machine, whose CPU is not Lambda's: compare them with
each other, and with a handler that does nothing, which is started in turn with ours.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tools import venvs
from tools.bench.runtime_api import RuntimeApi
from tools.stack import deploy, stack

ROUNDS = 10
WARM = 50
SHOWN = 12  # slowest imports


BARE = 'def handler(event, context):\n    return {"statusCode": 202}\n'


@contextmanager
def aws() -> Iterator[str]:
    """Run a queue that takes everything and a bucket that has nothing; yield their endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.answer(404, "application/xml", b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body = json.dumps({"MessageId": "m", "SequenceNumber": "1"}).encode()
            self.answer(200, "application/x-amz-json-1.0", body)

        def answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of connections that a killed function has cut."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def environment(layer: Path, endpoint: str, **more: str) -> dict[str, str]:
    """Return what Lambda would set, and nothing of this shell."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(layer / "python"),
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_ENDPOINT_URL": endpoint,
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        "POWERTOOLS_SERVICE_NAME": "http_api",
        "ENVIRONMENT_NAME": "acme",
        "TRANSPORT": "cli",
        "BUDGET_TABLE": "ledger",
        "REST_CALLS_PER_SECOND": "10",
        "DISPATCH_QUEUE_URL": f"{endpoint}/123456789012/dispatch.fifo",
        "COLLECT_QUEUE_URL": f"{endpoint}/123456789012/collect",
        "WAITING_QUEUE_URL": f"{endpoint}/123456789012/waiting",
        "DEAD_LETTERS_URL": f"{endpoint}/123456789012/dead.fifo",
        "DROP_BUCKET": "drop",
        "LEDGER_TABLE": "ledger",
        "REPLAY_TABLE": "replays",
        "IDEMPOTENCY_TABLE": "idempotency",
        "WEBHOOKS": "enabled",
        "WEBHOOK_SECRET_PREFIX": "bench/webhooks/",
        **more,
    }


def round_(python: Path, function: Path, layer: Path, endpoint: str, event: Any) -> tuple[float, float, list[float]]:
    """Start the function once; return seconds of init, of the first call, and of warm calls."""
    with RuntimeApi() as api:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(python), "-m", "awslambdaric", "app.handler"],
            cwd=function,
            env=environment(layer, endpoint, AWS_LAMBDA_RUNTIME_API=api.address),
            stdout=subprocess.DEVNULL,
        )
        try:
            if not api.asked.wait(30):
                raise RuntimeError("the function did not ask for an event within 30 s")
            init = time.perf_counter() - began
            answer, first = api.invoke(event)
            if answer["statusCode"] != 202:
                raise RuntimeError(f"the function answered {answer}")
            return init, first, [api.invoke(event)[1] for _ in range(WARM)]
        finally:
            process.kill()
            process.wait()


def imports(python: Path, function: Path, layer: Path) -> list[tuple[str, int, int]]:
    """Return the slowest imports of the handler's module: name, own and cumulative microseconds."""
    result = subprocess.run(
        [str(python), "-X", "importtime", "-c", "import app"],
        cwd=function,
        env=environment(layer, "http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        check=True,
    )
    pattern = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s*(\S+)")
    rows = [(match[3], int(match[1]), int(match[2])) for match in pattern.finditer(result.stderr)]
    return sorted(rows, key=lambda row: row[2], reverse=True)[:SHOWN]


def main() -> int:
    """Measure and print."""
    python, sam = venvs.ensure("lambda"), venvs.ensure("sam").with_name("sam")
    template = deploy.build(sam, venvs.python_with_pip(), folder=stack.state_folder() / "bench")
    function, layer = template.parent / "HttpApiFunction", template.parent / "JetwayLayer"
    subprocess.run([str(python), "-m", "compileall", "-q", str(layer)], check=True)
    event = json.loads((venvs.ROOT / "events" / "http_trigger_dag_run.json").read_text())
    bare = template.parent / "bare"
    bare.mkdir(exist_ok=True)
    (bare / "app.py").write_text(BARE)
    rounds, bare_inits = [], []
    with aws() as endpoint:
        for _ in range(ROUNDS):
            bare_inits.append(round_(python, bare, layer, endpoint, event)[0])
            rounds.append(round_(python, function, layer, endpoint, event))
    init, first = [round_[0] for round_ in rounds], [round_[1] for round_ in rounds]
    warm = sorted(seconds for round_ in rounds for seconds in round_[2])
    print(f"POST /dags/{{dag_id}}/dagRuns, {ROUNDS} starts, {WARM} warm calls each, Python {sys.version.split()[0]}")
    print(f"bare init   median {statistics.median(bare_inits) * 1000:6.1f} ms   a handler that does nothing")
    print(f"init        median {statistics.median(init) * 1000:6.1f} ms   worst {max(init) * 1000:6.1f} ms")
    print(f"first call  median {statistics.median(first) * 1000:6.1f} ms   worst {max(first) * 1000:6.1f} ms")
    p99 = warm[int(len(warm) * 0.99)]
    print(f"warm call   median {statistics.median(warm) * 1000:6.1f} ms   p99   {p99 * 1000:6.1f} ms")
    print("\nslowest imports (cumulative ms, own ms)")
    for name, own, cumulative in imports(python, function, layer):
        print(f"{cumulative / 1000:8.1f} {own / 1000:8.1f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
