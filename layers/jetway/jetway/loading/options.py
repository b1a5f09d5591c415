"""Which options of an environment import_dag is told: those that change what loading a file gives.

The rest is nobody's business there, passwords among it: whoever's file is loaded may read what was sent.
"""

from __future__ import annotations

# The same as jetway_loader.settings.HONOURED, which runs where this package is not; a test keeps them together.
HONOURED = frozenset(
    {
        "core.dag_discovery_safe_mode",
        "core.dag_ignore_file_syntax",
        "core.dagbag_import_timeout",
        "core.default_task_execution_timeout",
        "core.default_task_retries",
        "core.default_task_retry_delay",
        "core.default_task_weight_rule",
        "core.default_timezone",
        "core.max_active_runs_per_dag",
        "core.max_active_tasks_per_dag",
        "core.max_consecutive_failed_dag_runs_per_dag",
        "core.strict_asset_uri_validation",
        "core.strict_dataset_uri_validation",
        "dag_processor.dag_version_inflation_check_level",
        "operators.allow_illegal_arguments",
        "operators.default_owner",
        "operators.default_queue",
        "scheduler.catchup_by_default",
        "scheduler.create_cron_data_intervals",
        "scheduler.create_delta_data_intervals",
        "scheduler.max_dagruns_per_loop_to_schedule",
    }
)
