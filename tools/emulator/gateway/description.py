"""The description of a newly made environment: every member of GetEnvironment that MWAA fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools.emulator.airflow_settings import options

if TYPE_CHECKING:
    from tools.emulator.gateway.config import GatewayConfig

_SERVICE_ROLE = "aws-service-role/airflow.amazonaws.com/AWSServiceRoleForAmazonMWAA"
_LOG_GROUPS = {
    "DagProcessingLogs": "DAGProcessing",
    "SchedulerLogs": "Scheduler",
    "WebserverLogs": "WebServer",
    "WorkerLogs": "Worker",
    "TaskLogs": "Task",
}


def describe_new(config: GatewayConfig, *, airflow_version: str, now: float) -> dict[str, Any]:
    """Describe an environment as MWAA does right after its creation.

    Args:
        now: seconds since the epoch; the wire form of timestamps in JSON.
    """
    name, region, account = config.environment, config.region, config.account
    role = config.execution_role_arn or f"arn:aws:iam::{account}:role/{name}-execution"
    return {
        "Name": name,
        "Status": "AVAILABLE",
        "Arn": f"arn:aws:airflow:{region}:{account}:environment/{name}",
        "CreatedAt": now,
        "WebserverUrl": config.url,
        "ExecutionRoleArn": role,
        "ServiceRoleArn": f"arn:aws:iam::{account}:role/{_SERVICE_ROLE}",
        "AirflowVersion": airflow_version,
        "SourceBucketArn": f"arn:aws:s3:::{config.bucket}",
        "DagS3Path": config.dags_path,
        "AirflowConfigurationOptions": options(int(airflow_version.partition(".")[0])),
        "EnvironmentClass": config.environment_class,
        "MinWorkers": config.min_workers,
        "MaxWorkers": config.max_workers,
        "MinWebservers": 1 if config.environment_class == "mw1.micro" else 2,
        "MaxWebservers": 1 if config.environment_class == "mw1.micro" else 2,
        "Schedulers": 1 if config.environment_class == "mw1.micro" else 2,
        "NetworkConfiguration": {
            "SubnetIds": ["subnet-00000000000000001", "subnet-00000000000000002"],
            "SecurityGroupIds": ["sg-00000000000000001"],
        },
        "LoggingConfiguration": {
            member: {
                "Enabled": True,
                "LogLevel": "INFO" if member == "TaskLogs" else "WARNING",
                "CloudWatchLogGroupArn": f"arn:aws:logs:{region}:{account}:log-group:airflow-{name}-{group}",
            }
            for member, group in _LOG_GROUPS.items()
        },
        "LastUpdate": {"Status": "SUCCESS", "CreatedAt": now},
        "WeeklyMaintenanceWindowStart": "SUN:03:30",
        "WebserverAccessMode": "PUBLIC_ONLY",
        "CeleryExecutorQueue": f"arn:aws:sqs:{region}:{account}:airflow-celery-00000000-0000-0000-0000-000000000000",
        "EndpointManagement": "SERVICE",
        "Tags": {},
        **({"KmsKey": config.kms_key} if config.kms_key else {}),
    }
