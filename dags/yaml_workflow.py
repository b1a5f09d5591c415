"""A DAG written as data, by the third-party plugin dag-factory. Runs on Airflow 2 and 3.

Needs dag-factory in requirements.txt. It registers itself as an Airflow plugin, with a listener that sends usage
statistics to its makers: the option `dag_factory.enable_telemetry: "False"` turns that off, as the local stack does.

conf: bucket, key.
"""

from __future__ import annotations

from typing import Any

import dagfactory

WORKFLOW: dict[str, Any] = {
    "yaml_workflow": {
        "schedule": None,
        "catchup": False,
        "default_args": {"owner": "jetway", "start_date": "2026-01-01", "retries": 1, "retry_delay_sec": 5},
        "tags": ["jetway", "example"],
        "tasks": [
            {
                "task_id": "list_delivery",
                "operator": "airflow.providers.amazon.aws.operators.s3.S3ListOperator",
                "bucket": "{{ dag_run.conf['bucket'] }}",
                "prefix": "{{ dag_run.conf['key'].rpartition('/')[0] }}/",
            },
            {
                "task_id": "write_list",
                "operator": "airflow.providers.amazon.aws.operators.s3.S3CreateObjectOperator",
                "s3_bucket": "{{ dag_run.conf['bucket'] }}",
                "s3_key": "lists/{{ run_id }}.txt",
                "data": "{{ ti.xcom_pull('list_delivery') | join('\\n') }}",
                "replace": True,
                "dependencies": ["list_delivery"],
            },
        ],
    }
}

dagfactory.load_yaml_dags(globals_dict=globals(), config_dict=WORKFLOW)
