"""How much memory judging a large plugins.zip takes (`make bench-plugins`).

A zip of random data, vendored modules and wheels is served on loopback as S3 serves it; a process of its own judges it
with the gate's own reader and says its peak resident set. The same is done with a small zip: the difference is what
the size costs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
import zipfile
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tools.venvs import HOME, ROOT

MODULE = b'"""A module."""\n' + b"\n".join(b"def f%d(x):\n    return [x, %d, 'text']\n" % (n, n) for n in range(40))
PLUGIN = b"from airflow.plugins_manager import AirflowPlugin\n\n\nclass P(AirflowPlugin):\n    name = 'p'\n"
MEBIBYTE = 1024 * 1024


def make(path: Path, mebibytes: int) -> None:
    """Write a zip of about that size: a plugin, 500 modules, and data that does not compress, half of it in a wheel."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.writestr("plugin.py", PLUGIN)
        for number in range(500):
            made.writestr(f"vendored/module_{number}.py", MODULE)
        for _ in range(mebibytes // 64):
            _write_data(made, 32)
        _write_data(made, mebibytes // 2 % 32)
        with (
            made.open("data-1.0-py3-none-any.whl", "w", force_zip64=True) as member,
            zipfile.ZipFile(member, "w") as wheel,
        ):
            for _ in range(mebibytes // 64):
                _write_data(wheel, 32)
            _write_data(wheel, mebibytes // 2 % 32)
            wheel.writestr("data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: data\nVersion: 1.0\n")
            wheel.writestr("data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    draft.replace(path)


def _write_data(made: zipfile.ZipFile, mebibytes: int) -> None:
    with made.open(f"data/{len(made.filelist)}.bin", "w") as member:
        for _ in range(mebibytes):
            member.write(os.urandom(MEBIBYTE))


def serve(path: Path) -> ThreadingHTTPServer:
    """Serve one file under every path, by ranges."""
    size = path.stat().st_size

    class Objects(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            first, last = (int(found[1]), min(int(found[2]), size - 1)) if found else (0, size - 1)
            self.send_response(206)
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("ETag", '"e"')
            self.end_headers()
            with path.open("rb") as file:
                file.seek(first)
                self.wfile.write(file.read(last - first + 1))

        def log_message(self, *args: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Objects)


def judge(endpoint: str, size: int) -> dict[str, object]:
    """Judge what is served there; runs in a process of its own."""
    import boto3

    from jetway.airflow.environment import EnvironmentFacts
    from jetway.artifacts.findings import Candidate
    from jetway.artifacts.plugins.plugins_zip import check_plugins
    from jetway.aws.s3 import ObjectVersion
    from jetway.aws.s3_stream import open_version

    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    version = ObjectVersion("drop", "plugins.zip", "v1", '"e"', size, datetime.now(UTC))
    facts = EnvironmentFacts("bench", "AVAILABLE", "3.3.1", "acme", "dags")
    started = time.perf_counter()
    judged = check_plugins(Candidate("plugins.zip", size, b"", lambda: open_version(s3, version)), facts)
    return {
        "verdict": judged.verdict,
        "findings": [finding.rule for finding in judged.findings],
        "plugins": len(judged.plugins),
        "seconds": round(time.perf_counter() - started, 2),
        "peak_mebibytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def measure(mebibytes: int) -> dict[str, Any]:
    """Make a zip of that size, and judge it in a process of its own."""
    path = HOME / "bench" / f"plugins-and-wheel-{mebibytes}.zip"
    make(path, mebibytes)
    server = serve(path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        command = [sys.executable, "-m", "tools.bench.plugins", "--judge", endpoint, str(path.stat().st_size)]
        env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers/jetway'}", "NO_PROXY": "127.0.0.1"}
        env |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    found: dict[str, Any] = json.loads(done.stdout)
    return {"mebibytes": mebibytes, **found}


def main() -> int:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.plugins", description=__doc__)
    parser.add_argument("--judge", nargs=2, metavar=("ENDPOINT", "SIZE"), help=argparse.SUPPRESS)
    parser.add_argument("--mebibytes", type=int, nargs="*", default=[10, 1024])
    given = parser.parse_args()
    if given.judge:
        print(json.dumps(judge(given.judge[0], int(given.judge[1]))))
        return 0
    rows = [measure(mebibytes) for mebibytes in given.mebibytes]
    for row in rows:
        print("{mebibytes:>5} MiB: {verdict}, {seconds:>6} s, peak {peak_mebibytes} MiB".format(**row))
    if len(rows) > 1:
        small, large = rows[0], rows[-1]
        sizes = large["mebibytes"] / small["mebibytes"]
        memory = large["peak_mebibytes"] / small["peak_mebibytes"]
        print(f"{sizes:.0f} times the size takes {memory:.2f} times the memory.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
