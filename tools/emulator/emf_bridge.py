"""Metrics that functions write to their logs, put to CloudWatch as CloudWatch Logs does on AWS; MiniStack does not.

A program of its own (`python -m tools.emulator.emf_bridge`; `start` does it). It reads the log groups of the functions
and puts every metric in embedded metric format that it finds:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tools.emulator import processes
from tools.emulator.ministack import service as ministack

NAME = "emf-bridge"
GROUPS = "/jetway/"
_OVERLAP_MILLISECONDS = 60_000  # a line is filed under the time it was written at, which may be before the last look

log = logging.getLogger(__name__)


def start(endpoint: str, *, folder: Path) -> processes.Process:
    """Start the bridge, or find the one that runs.

    Args:
        endpoint: MiniStack's URL.
        folder: for its log and pid file.
    """
    root = Path(__file__).resolve().parents[2]
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(root),
        "PYTHONUNBUFFERED": "1",
        **ministack.CREDENTIALS,
    }
    command = [sys.executable, "-m", "tools.emulator.emf_bridge", "--endpoint", endpoint]
    return processes.start(NAME, command, folder=folder, env=env, cwd=root)


def metric_data(message: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (namespace, datum of PutMetricData) of one log line; nothing when it holds no metrics."""
    if '"_aws"' not in message:
        return
    try:
        line = json.loads(message)
        at = datetime.fromtimestamp(line["_aws"]["Timestamp"] / 1000, UTC)
        directives = line["_aws"]["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        for names in directive["Dimensions"]:
            dimensions = [{"Name": name, "Value": str(line[name])} for name in names]
            for metric in directive["Metrics"]:
                value = line[metric["Name"]]
                values = value if isinstance(value, list) else [value]
                yield (
                    directive["Namespace"],
                    {
                        "MetricName": metric["Name"],
                        "Unit": metric.get("Unit", "None"),
                        "Dimensions": dimensions,
                        "Timestamp": at,
                        "Values": [float(one) for one in values],
                        "Counts": [1.0] * len(values),
                    },
                )


class Bridge:
    """Carries metrics over, each line once."""

    def __init__(self, logs: Any, cloudwatch: Any) -> None:
        self._logs = logs
        self._cloudwatch = cloudwatch
        self._seen: dict[str, int] = {}

    def look(self, now: float) -> int:
        """Look once, at what was logged since a little before the last look; return how many metrics were put.

        Args:
            now: seconds since the epoch.
        """
        since = round(now * 1000) - 2 * _OVERLAP_MILLISECONDS
        self._seen = {event: at for event, at in self._seen.items() if at >= since - _OVERLAP_MILLISECONDS}
        count = 0
        for group in self._logs.describe_log_groups(logGroupNamePrefix=GROUPS)["logGroups"]:
            found = self._logs.filter_log_events(logGroupName=group["logGroupName"], startTime=since)
            count += sum(self._carry(group["logGroupName"], event) for event in found["events"])
        return count

    def _carry(self, group: str, event: Mapping[str, Any]) -> int:
        # MiniStack gives events no id of their own.
        identity = f"{group} {event['logStreamName']} {event['timestamp']} {event['message']}"
        if identity in self._seen:
            return 0
        self._seen[identity] = event["timestamp"]
        count = 0
        for namespace, datum in metric_data(event["message"]):
            self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])
            count += 1
        return count


def run(endpoint: str, pause: float, stop: threading.Event) -> None:
    """Carry metrics over until told to stop; MiniStack may come and go meanwhile."""
    config = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
    client: Any = boto3.client  # its stubs know service names as literals only
    bridge = Bridge(*(client(name, endpoint_url=endpoint, config=config) for name in ("logs", "cloudwatch")))
    while not stop.wait(pause):
        try:
            bridge.look(time.time())
        except (ClientError, BotoCoreError) as exc:
            log.warning("metrics wait: %s", exc)


def main() -> int:
    """Run the bridge until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tools.emulator.emf_bridge", description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two looks")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(arguments.endpoint, arguments.pause, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
