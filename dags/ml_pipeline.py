"""Trains a classifier on a batch of files: ingest, features, train, evaluate, publish. Runs on Airflow 2 and 3.

Needs scikit-learn (with numpy, scipy, joblib). Started by a trigger with `batch`: one run for all files of a delivery.
Tasks pass data in S3, in `ml/<run id>/`, because two tasks can run on different workers. A model is published
only if it is good enough. The execution role needs the policy that the stack's output ReadManifestsPolicyArn names,
and cloudwatch:PutMetricData, which MWAA's role has.

conf: manifest, count, bucket (for the results).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import dag, task
    from airflow.sdk.exceptions import AirflowFailException
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.exceptions import AirflowFailException

LABEL, FEATURES = "failed", ["temperature", "vibration", "pressure", "hours"]
LEAST_ACCURACY = 0.8


@task
def ingest(**context: Any) -> str:
    """One table of all the files that the manifest names."""
    import csv
    import json

    import boto3

    s3, conf = boto3.client("s3"), context["dag_run"].conf
    bucket, _, key = conf["manifest"].removeprefix("s3://").partition("/")
    events = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["events"]
    rows: list[dict[str, str]] = []
    for event in sorted(events, key=lambda event: event["key"]):
        body = s3.get_object(Bucket=event["bucket"], Key=event["key"])["Body"].read().decode()
        rows += csv.DictReader(body.splitlines())
    return _write(context, "rows.json", json.dumps(rows).encode())


@task
def features(rows: str, **context: Any) -> str:
    """Numbers without gaps: a missing reading becomes the median of the others."""
    import io
    import json

    import numpy as np

    table = json.loads(_read(context, rows))
    x = np.array([[float(row[name] or "nan") for name in FEATURES] for row in table])
    x = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    x = np.column_stack([x, x[:, 0] * x[:, 1]])  # hot and shaking is worse than either
    buffer = io.BytesIO()
    np.savez(buffer, x=x, y=np.array([int(row[LABEL]) for row in table]))
    return _write(context, "features.npz", buffer.getvalue())


@task
def train(data: str, **context: Any) -> str:
    import io

    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, _, y, _ = _halves(context, data)
    model = make_pipeline(StandardScaler(), LogisticRegression(random_state=0)).fit(x, y)
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return _write(context, "model.joblib", buffer.getvalue())


@task
def evaluate(data: str, model: str, **context: Any) -> dict[str, float]:
    """Judge the model by rows that it has not seen."""
    import io

    import joblib
    from sklearn.metrics import accuracy_score, roc_auc_score

    _, x, _, y = _halves(context, data)
    fitted = joblib.load(io.BytesIO(_read(context, model)))
    metrics = {
        "accuracy": float(accuracy_score(y, fitted.predict(x))),
        "auc": float(roc_auc_score(y, fitted.predict_proba(x)[:, 1])),
        "rows": float(len(y)),
    }
    if metrics["accuracy"] < LEAST_ACCURACY:
        # The same data make the same model: trying again would not help.
        raise AirflowFailException(f"The model is not good enough to publish: {metrics}")
    return metrics


@task
def publish(model: str, metrics: dict[str, float], **context: Any) -> str:
    """Make the model the current one, and put its metrics in CloudWatch."""
    import json

    import boto3

    bucket = context["dag_run"].conf["bucket"]
    card = {"model": f"s3://{bucket}/{model}", "run_id": context["run_id"], "metrics": metrics}
    boto3.client("s3").put_object(Bucket=bucket, Key="models/failures/current.json", Body=json.dumps(card).encode())
    boto3.client("cloudwatch").put_metric_data(
        Namespace="Jetway/Examples",
        MetricData=[
            {"MetricName": name, "Value": value, "Dimensions": [{"Name": "Model", "Value": "failures"}]}
            for name, value in metrics.items()
        ],
    )
    return str(card["model"])


@dag(
    schedule=None,  # batches start it
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # so that the model of the newest batch is published last
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    tags=["jetway", "example"],
)
def ml_pipeline() -> None:
    """Predicts which machines fail."""
    data = features(ingest())
    model = train(data)
    publish(model, evaluate(data, model))


def _read(context: Any, key: str) -> bytes:
    import boto3

    body: bytes = boto3.client("s3").get_object(Bucket=context["dag_run"].conf["bucket"], Key=key)["Body"].read()
    return body


def _write(context: Any, name: str, body: bytes) -> str:
    import boto3

    key = f"ml/{context['run_id']}/{name}"
    boto3.client("s3").put_object(Bucket=context["dag_run"].conf["bucket"], Key=key, Body=body)
    return key


def _halves(context: Any, data: str) -> Any:
    """The rows to learn from and those to evaluate with; the same ones each time."""
    import io

    import numpy as np
    from sklearn.model_selection import train_test_split

    arrays = np.load(io.BytesIO(_read(context, data)))
    return train_test_split(arrays["x"], arrays["y"], test_size=0.25, random_state=0, stratify=arrays["y"])


ml_pipeline()
