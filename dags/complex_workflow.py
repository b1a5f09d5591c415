"""A workflow with most of what Airflow offers, started by a file. Runs on Airflow 2 and 3; needs no packages.

Setup and teardown around the work, a branch by the file's size, a task group per branch, one mapped task for each part,
a retry, and callbacks. The callbacks write small objects under `callbacks/`, so you can see that they ran.

conf: bucket, key, size.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import TaskGroup, dag, setup, task, teardown
except ImportError:  # Airflow 2
    from airflow.decorators import dag, setup, task, teardown
    from airflow.utils.task_group import TaskGroup

LARGE = 500  # bytes; small enough to show both branches with small files


def _note(context: Any, what: str) -> None:
    """Write an object that shows that a callback ran."""
    import boto3

    run = context["dag_run"]
    body = f"{what} of {run.run_id}".encode()
    boto3.client("s3").put_object(Bucket=run.conf["bucket"], Key=f"callbacks/{run.run_id}/{what}.txt", Body=body)


def note_retry(context: Any) -> None:
    """Called before a task is tried again."""
    _note(context, f"retry-{context['ti'].task_id}")


def note_success(context: Any) -> None:
    """Called when the run has ended well."""
    _note(context, "success")


def note_failure(context: Any) -> None:
    """Called when the run has failed."""
    _note(context, "failure")


@dag(
    schedule=None,  # events start it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1), "on_retry_callback": note_retry},
    on_success_callback=note_success,
    on_failure_callback=note_failure,
    tags=["jetway", "example"],
)
def complex_workflow() -> None:
    """Counts the words of a text, in one piece or in parts."""

    @setup
    def make_workspace(**context: Any) -> str:
        import boto3

        conf, prefix = context["dag_run"].conf, f"workspace/{context['run_id']}"
        source = {"Bucket": conf["bucket"], "Key": conf["key"]}
        boto3.client("s3").copy_object(Bucket=conf["bucket"], Key=f"{prefix}/input.txt", CopySource=source)
        return prefix

    @teardown
    def remove_workspace(prefix: str, **context: Any) -> None:
        import boto3

        objects = boto3.resource("s3").Bucket(context["dag_run"].conf["bucket"]).objects
        objects.filter(Prefix=f"{prefix}/").delete()

    @task.branch
    def choose(**context: Any) -> str:
        return "in_parts.split" if context["dag_run"].conf["size"] > LARGE else "in_one_piece.count_all"

    @task
    def count_all(prefix: str, **context: Any) -> int:
        return len(_read(context, prefix).split())

    @task
    def split(prefix: str, **context: Any) -> list[list[int]]:
        """Where the parts begin and end, in lines: an XCom is for small things."""
        if context["ti"].try_number == 1:
            raise RuntimeError("This task fails at its first try, to show a retry.")
        lines = len(_read(context, prefix).splitlines())
        return [[start, min(start + 10, lines)] for start in range(0, lines, 10)]

    @task
    def count_part(prefix: str, part: list[int], **context: Any) -> int:
        return sum(len(line.split()) for line in _read(context, prefix).splitlines()[slice(*part)])

    @task
    def add_up(counts: Any) -> int:
        return sum(counts)

    @task(trigger_rule="none_failed_min_one_success")
    def publish(one_piece: int | None, parts: int | None, **context: Any) -> dict[str, Any]:
        import json

        import boto3

        words = parts if one_piece is None else one_piece
        report = {"words": words, "in_parts": one_piece is None}
        conf = context["dag_run"].conf
        key = f"word-counts/{conf['key'].rpartition('/')[2]}.json"
        boto3.client("s3").put_object(Bucket=conf["bucket"], Key=key, Body=json.dumps(report).encode())
        return report

    prefix = make_workspace()
    with TaskGroup("in_one_piece") as in_one_piece:
        whole = count_all(prefix)
    with TaskGroup("in_parts") as in_parts:
        parts = add_up(count_part.partial(prefix=prefix).expand(part=split(prefix)))
    prefix >> choose() >> [in_one_piece, in_parts]
    publish(whole, parts) >> remove_workspace(prefix)


def _read(context: Any, prefix: str) -> str:
    import boto3

    answer = boto3.client("s3").get_object(Bucket=context["dag_run"].conf["bucket"], Key=f"{prefix}/input.txt")
    return str(answer["Body"].read().decode())


complex_workflow()
