"""What the gateway is told: one frozen dataclass, kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

_PATHS = ("state", "airflow", "certificate", "key", "images")


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The settings of one gateway, for one environment.

    Attributes:
        environment: the MWAA environment's name.
        bucket: the environment's bucket, on `endpoint`.
        kms_key: ARN of the environment's key; None where it is AWS's own.
        port: where to listen on 127.0.0.1.
        state: a folder for what must survive a restart: environment, token key, what was synchronised.
        airflow: the file of the local Airflow (`tools.emulator.airflow.Airflow.file`).
        certificate, key: the server's certificate in PEM (`tools.emulator.certificates`).
        endpoint: URL of the local AWS (S3 and CloudWatch).
        access_key_id, secret_access_key: for that endpoint; made up.
        account: twelve digits, used in ARNs.
        images: folder of what the images of Airflow versions pin (`images.pins_of`); None pins nothing.
        dags_path: DagS3Path of a new environment.
        execution_role_arn: None makes one up.
        environment_class, min_workers, max_workers: of a new environment; UpdateEnvironment changes them later.
        update_seconds: how long an update keeps the status UPDATING at least. AWS takes 10-30 minutes.
        cli_concurrency: CLI commands that run at once; one more gets 503.
        cli_timeout: seconds after which a command is killed.
        token_seconds: life of CLI and web login tokens.
        rest_calls_per_second: of InvokeRestApi, for all who call; one more is throttled. 0 for no bound.
        cli_tokens_per_second, web_login_tokens_per_second: the same of the two tokens, for which AWS gives no figure.
        sync_seconds: pause between two looks at the bucket.
        metrics_seconds: period of the metrics; 0 turns them off.
        faults: whether the fault injection of integration tests exists.
    """

    environment: str
    bucket: str
    port: int
    state: Path
    airflow: Path
    certificate: Path
    key: Path
    endpoint: str
    access_key_id: str = "test"
    secret_access_key: str = "test"  # noqa: S105 - no secret: the local AWS takes anything
    account: str = "000000000000"
    region: str = "us-east-1"
    images: Path | None = None
    dags_path: str = "dags"
    execution_role_arn: str | None = None
    kms_key: str | None = None
    environment_class: str = "mw1.small"
    min_workers: int = 1
    max_workers: int = 10
    update_seconds: float = 5.0
    cli_concurrency: int = 4
    cli_timeout: float = 120.0
    token_seconds: float = 60.0
    rest_calls_per_second: float = 10.0
    cli_tokens_per_second: float = 0.0
    web_login_tokens_per_second: float = 0.0
    sync_seconds: float = 1.0
    metrics_seconds: float = 60.0
    faults: bool = False

    @property
    def hostname(self) -> str:
        """WebServerHostname. On AWS it has no port; here the free port has to come along."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.hostname}"

    def write(self, path: Path) -> None:
        paths = {name: getattr(self, name) for name in _PATHS}
        values = asdict(self) | {name: None if path is None else str(path) for name, path in paths.items()}
        draft = path.with_name(path.name + ".new")
        draft.write_text(json.dumps(values, indent=2))
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> GatewayConfig:
        """Read a configuration.

        Raises:
            ValueError: not JSON, a setting is missing, or one is unknown.
        """
        values: dict[str, Any] = json.loads(path.read_text())
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"{path}: unknown settings {', '.join(sorted(unknown))}")
        values |= {name: Path(values[name]) for name in _PATHS if values.get(name) is not None}
        try:
            return cls(**values)
        except TypeError as exc:
            raise ValueError(f"{path}: {exc}") from exc
