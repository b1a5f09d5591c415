"""What Airflow gives a run to render templates with, and what it does not: read off both versions' own lists.

Airflow 3 has no longer what 2.11 lists in `airflow.utils.context.KNOWN_CONTEXT_KEYS` beyond `airflow.sdk`'s `Context`,
and its `RuntimeTaskInstance.get_template_context` adds what hangs on the logical date only to a run that has one.
https://airflow.apache.org/docs/apache-airflow/stable/installation/upgrading_to_airflow3.html
"""

from __future__ import annotations

# Name → what to write instead; "" where nothing takes its place.
REMOVED = {
    "conf": "",
    "execution_date": "logical_date",
    "next_ds": "data_interval_end | ds",
    "next_ds_nodash": "data_interval_end | ds_nodash",
    "next_execution_date": "data_interval_end",
    "prev_ds": "macros.ds_add(ds, -1)",
    "prev_ds_nodash": "(logical_date - macros.timedelta(days=1)) | ds_nodash",
    "prev_execution_date": "logical_date - macros.timedelta(days=1)",
    "prev_execution_date_success": "prev_data_interval_start_success",
    "test_mode": "",
    "tomorrow_ds": "macros.ds_add(ds, 1)",
    "tomorrow_ds_nodash": "(logical_date + macros.timedelta(days=1)) | ds_nodash",
    "triggering_dataset_events": "triggering_asset_events",
    "yesterday_ds": "macros.ds_add(ds, -1)",
    "yesterday_ds_nodash": "(logical_date - macros.timedelta(days=1)) | ds_nodash",
}

# The same of what hangs on things of the context.
REMOVED_ATTRIBUTES = {
    "dag_run.execution_date": "dag_run.logical_date",
    "dag_run.external_trigger": "dag_run.run_type == 'manual'",
    "task_instance.execution_date": "logical_date",
    "ti.execution_date": "logical_date",
}

# What is None in a run without a logical date, so that nothing can be looked up in it.
NULLABLE = frozenset({"dag_run.logical_date", "dag_run.data_interval_start", "dag_run.data_interval_end"})

# What only a run with a logical date has. https://github.com/apache/airflow/pull/46194
DATED = frozenset(
    {
        *("logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"),
        *("data_interval_start", "data_interval_end"),
        *("prev_data_interval_start_success", "prev_data_interval_end_success"),
    }
)
