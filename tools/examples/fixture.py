"""What an example plays on: the local stack, a bucket for its data, and the systems outside that it asks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools import venvs
from tools.emulator.ministack.service import REGION
from tools.generate import plugins_zip
from tools.stack.calls import airflow_api, list_runs, read_report, wait_for
from tools.stack.stack import ENVIRONMENT_BUCKET, ENVIRONMENT_NAME

if TYPE_CHECKING:
    from tools.examples.sources import Sources
    from tools.stack.stack import Stack

BUCKET = "acme-examples"  # the one that triggers/examples/*.yaml name
LONGEST = 120.0  # seconds for one thing to happen on a slow machine
UPDATE_SECONDS = 300.0  # an update installs packages and starts Airflow anew
ENDED = frozenset({"success", "failed"})


class ExampleError(RuntimeError):
    """An example did not show what it should, or there is none of that name."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that an example started, and what it left.

    Attributes:
        cause: what started it.
        left: one line about the result.
    """

    cause: str
    dag_id: str
    run_id: str
    state: str
    seconds: float
    left: str = ""


class Scene:
    """Prepares, starts and looks at examples on one stack."""

    def __init__(self, stack: Stack, sources: Sources) -> None:
        self.stack, self.sources = stack, sources
        self.s3 = stack.client("s3")
        self.drop_bucket = stack.outputs["DropBucketName"]

    def make_bucket(self) -> None:
        """Make the bucket that data lands in; it sends its events to EventBridge."""
        if BUCKET not in [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]:
            self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )

    def install_packages(self) -> None:
        """Give the local Airflow what MWAA would install from requirements.txt."""
        version = self.stack.airflow_version
        venvs.extend(f"airflow-{version}", f"examples-{version}")

    def install_plugins(self) -> None:
        """Drop plugins.zip and requirements.txt, and wait for the environment's update that brings them into force.

        Raises:
            ExampleError: the update failed.
        """
        packages = venvs.ROOT / "requirements" / f"examples-{self.stack.airflow_version}.txt"
        self._drop({"plugins.zip": plugins_zip.build().read_bytes(), "requirements.txt": packages.read_bytes()})
        wait_for("the update of the environment", self._updated, seconds=UPDATE_SECONDS, pause=1.0)

    def install_dags(self, files: Iterable[Path], dag_ids: Iterable[str]) -> None:
        """Drop DAG files, see them promoted, and wait until Airflow knows their DAGs."""
        self._drop({f"dags/{path.name}": path.read_bytes() for path in files})
        for dag_id in dag_ids:
            wait_for(f"the DAG {dag_id}", partial(self._known, dag_id), seconds=LONGEST)

    def install_triggers(self, texts: Mapping[str, str]) -> None:
        """Drop trigger files (name → text) and see them accepted."""
        self._drop({f"triggers/{name}.yaml": text.encode() for name, text in texts.items()})

    def remove_triggers(self, names: Iterable[str]) -> None:
        """Delete trigger files and wait for the end of their rules."""
        gone = {f"{self._stack_name}.{name}" for name in names}
        for name in names:
            self.s3.delete_object(Bucket=self.drop_bucket, Key=f"triggers/{name}.yaml")
        events = self.stack.client("events")

        def look() -> bool | None:
            return None if gone & {rule["Name"] for rule in events.list_rules()["Rules"]} else True

        wait_for("the end of the rules", look, seconds=LONGEST)

    def land(self, key: str, body: bytes | Path) -> None:
        """Put a data file in the bucket."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.read_bytes() if isinstance(body, Path) else body)

    def read(self, key: str) -> bytes:
        """Read an object that a run has left.

        Raises:
            ClientError: there is none (NoSuchKey).
        """
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so."""
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def connection(self, conn_id: str, **members: object) -> None:
        """Make or change a connection in Airflow's database, as `airflow connections add` does."""
        body = {"connection_id": conn_id, **members}
        try:
            self.call_airflow("POST", "/connections", Body=body)
        except ClientError as exc:
            answer: Mapping[str, Any] = exc.response
            if answer.get("RestApiStatusCode") != 409:
                raise
            self.call_airflow("PATCH", f"/connections/{conn_id}", Body=body)

    def secret(self, name: str, value: str) -> None:
        """Make or change a secret in AWS Secrets Manager."""
        manager = self.stack.client("secretsmanager")
        try:
            manager.create_secret(Name=name, SecretString=value)
        except manager.exceptions.ResourceExistsException:
            manager.put_secret_value(SecretId=name, SecretString=value)

    def runs(self, dag_id: str) -> dict[str, dict[str, Any]]:
        """The runs that there are; given to `ended`, it tells the new one."""
        return list_runs(self.stack, dag_id)

    def ended(
        self,
        dag_id: str,
        cause: str,
        *,
        before: Iterable[str] = (),
        where: Callable[[dict[str, Any]], bool] = lambda _run: True,
        seconds: float = LONGEST,
        wanted: str = "success",
    ) -> Ended:
        """Wait for the end of a run that was not there before.

        Args:
            where: tells the run from others by its conf.
            wanted: the state that it must end in.

        Raises:
            TooLateError: no such run, or no end of it, in time.
            ExampleError: it ended otherwise; the text says where to look.
        """
        known, began = set(before), time.monotonic()

        def look() -> dict[str, Any] | None:
            found = (run for run_id, run in self.runs(dag_id).items() if run_id not in known and where(run["conf"]))
            return next((run for run in found if run["state"] in ENDED), None)

        run = wait_for(f"the end of a run of {dag_id}", look, seconds=seconds, pause=0.5)
        if run["state"] != wanted:
            raise ExampleError(
                f"{run['dag_run_id']} of {dag_id} ended as {run['state']}, not {wanted}; "
                f"its log is in {self.stack.airflow_url}/dags/{dag_id}."
            )
        return Ended(cause, dag_id, run["dag_run_id"], run["state"], time.monotonic() - began)

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances.

        Raises:
            ExampleError: there are none.
        """
        # InvokeRestApi takes paths of 64 characters: the run's own is longer.
        wanted = {"dag_ids": [dag_id], "dag_run_ids": [run_id]}
        answer = self.call_airflow("POST", "/dags/~/dagRuns/~/taskInstances/list", Body=wanted)
        found: list[dict[str, Any]] = answer["task_instances"]
        if not found:
            raise ExampleError(f"Airflow shows no task instances of {run_id}.")
        return found

    def call_airflow(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Call Airflow's REST API, again when it could not answer: on SQLite it may find its database locked."""
        return wait_for(f"{method} {path}", lambda: airflow_api(self.stack, method, path, **more), seconds=30)

    @property
    def _stack_name(self) -> str:
        return self.stack.env["JETWAY_STACK"]

    def _updated(self) -> bool | None:
        found = self.stack.client("mwaa").get_environment(Name=ENVIRONMENT_NAME)["Environment"]
        if found["Status"] == "UPDATE_FAILED":
            raise ExampleError(f"the update failed: {found['LastUpdate']}")
        if found["Status"] != "AVAILABLE":
            return None
        for thing, key in (("Plugins", "plugins.zip"), ("Requirements", "requirements.txt")):
            version = found.get(f"{thing}S3ObjectVersion")
            # By content: the same bytes dropped again are a new version, and no reason to update.
            if not version or self._etag(key, VersionId=version) != self._etag(key):
                return None
        return True

    def _etag(self, key: str, **version: str) -> str:
        return str(self.s3.head_object(Bucket=ENVIRONMENT_BUCKET, Key=key, **version)["ETag"])

    def _known(self, dag_id: str) -> dict[str, Any] | None:
        found = airflow_api(self.stack, "GET", f"/dags/{dag_id}")
        return found if found and found.get("is_active", True) else None

    def _drop(self, files: Mapping[str, bytes]) -> None:
        """Drop files and wait for the report on each.

        Raises:
            ExampleError: one was rejected; the text has its findings.
        """
        versions = {
            key: self.s3.put_object(Bucket=self.drop_bucket, Key=key, Body=body)["VersionId"]
            for key, body in files.items()
        }
        for key, version in versions.items():
            report = wait_for(f"the report on {key}", partial(self._report, key, version), seconds=LONGEST)
            if report["verdict"] == "rejected":
                raise ExampleError(f"{key} was rejected: {json.dumps(report['findings'], indent=1)}")

    def _report(self, key: str, version: str) -> dict[str, Any] | None:
        report = read_report(self.stack, key)
        return report if report and report["source"]["version"] == version else None


def unique() -> str:
    """A part of a name that no other play of an example has."""
    return datetime.now(UTC).strftime("%H%M%S%f")
