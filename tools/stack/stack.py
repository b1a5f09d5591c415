"""The local stack as a whole: MiniStack for AWS, real Airflow behind the MWAA gateway, Jetway deployed to them.

    stack = up(Progress())            # quick when it runs already
    stack.client("s3").put_object(…)
    down()                            # all that it held is gone; ports and logs stay

All state is in one folder, `.jetway/` unless JETWAY_STATE names another; stacks in different folders run side by side.
MiniStack keeps everything in memory, so what lies on the disk beside it (Airflow's database, its DAGs, the gateway's
state) lives as long as MiniStack does, and no longer: half of a state is one that nobody has made.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import venvs
from tools.checks import decisions
from tools.emulator import airflow, certificates, emf_bridge, environment_bucket, processes
from tools.emulator.gateway import service
from tools.emulator.gateway.config import GatewayConfig
from tools.emulator.ministack import service as ministack
from tools.stack import deploy

if TYPE_CHECKING:
    from tools.progress import Progress

ENVIRONMENT_NAME = "jetway-local"
ENVIRONMENT_BUCKET = "jetway-local-environment"
IMAGES = venvs.ROOT / "layers/jetway/jetway/artifacts/mwaa_packages"  # what MWAA pins, for each version of Airflow
UI = "ui"  # name of the process that tools/stack/ui.py starts
PORTS = (ministack.NAME, "gateway", "airflow", UI)
# What environment.yaml sets as AirflowConfigurationOptions. Secrets Manager is asked for these names only: a question
# costs time and, on AWS, money.
# https://docs.aws.amazon.com/mwaa/latest/userguide/connections-secrets-manager.html
AIRFLOW_OPTIONS = {
    "AIRFLOW__JETWAY__ENVIRONMENT": ENVIRONMENT_NAME,
    "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
    "AIRFLOW__SECRETS__BACKEND": "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend",
    "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(
        {
            "connections_prefix": "airflow/connections",
            "connections_lookup_pattern": "^(onprem|jetway)_",
            "variables_prefix": None,
            "config_prefix": None,
        }
    ),
}
# What `Stack.env` sets; known without a stack, so that a shell can be told to forget it.
VARIABLES = (
    *ministack.CREDENTIALS,
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_MWAA",
    "AWS_DISABLE_HOST_PREFIX_INJECTION",
    "AWS_CA_BUNDLE",
    "JETWAY_STACK",
    "DROP_BUCKET",
    "HTTP_API_URL",
)
# The local environment is updated in seconds, not in half an hour.
UPDATE_QUIET_SECONDS = "10"
METRICS_SECONDS = 5.0  # MWAA gives its metrics once a minute; whoever looks at a local stack does not like to wait


class StackError(RuntimeError):
    """The local stack is not there, or cannot be as asked."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running local stack.

    Attributes:
        endpoint: MiniStack's URL, for every AWS service but mwaa.
        gateway_url: URL of the MWAA gateway (HTTPS, signed by the CA in `ca_bundle`).
        airflow_url: URL of Airflow's own UI and REST API.
        outputs: the deployed template's outputs.
        deployed: fingerprint of what is deployed.
    """

    state: str
    endpoint: str
    gateway_url: str
    airflow_url: str
    airflow_version: str
    ca_bundle: str
    outputs: Mapping[str, str]
    deployed: str

    def client(self, service_name: str, **config: Any) -> Any:
        """Return a boto3 client of the stack; mwaa goes to the gateway, all else to MiniStack."""
        endpoint = self.gateway_url if service_name == "mwaa" else self.endpoint
        return ministack.client(service_name, endpoint, self.ca_bundle, **config)

    @property
    def http_api_url(self) -> str:
        """Base URL of the HTTP API."""
        return self.outputs["HttpApiUrl"]

    @property
    def http_api_id(self) -> str:
        """The HTTP API's id, for calls of API Gateway."""
        return self.http_api_url.split("/")[-2]  # see tools/emulator/ministack/server.py

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables that make boto3, `jetway`, and the snippets of README and docs use this stack."""
        return {
            **ministack.CREDENTIALS,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_MWAA": self.gateway_url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_CA_BUNDLE": self.ca_bundle,
            "JETWAY_STACK": deploy.STACK_NAME,
            "DROP_BUCKET": self.outputs["DropBucketName"],
            "HTTP_API_URL": self.http_api_url,
        }

    @property
    def gateway_config(self) -> GatewayConfig:
        """The gateway's configuration, to start it again with."""
        return GatewayConfig.read(Path(self.state) / "gateway.json")

    def decisions(self) -> list[decisions.Decision]:
        """Return what IAM has decided since the stack's start."""
        return decisions.read(Path(self.state) / decisions.FILE)

    @property
    def run_folder(self) -> Path:
        """Where the programs' logs and pid files are."""
        return Path(self.state) / "run"


def state_folder() -> Path:
    """Return the folder of the local stack's state."""
    return Path(os.environ.get("JETWAY_STATE", venvs.HOME)).resolve()


def up(
    progress: Progress,
    *,
    version: str | None = None,
    parameters: Callable[[], Mapping[str, str]] = dict,
    faults: bool = False,
    tree: Path = venvs.ROOT,
) -> Stack:
    """Start what does not run, deploy what has changed, and return the stack.

    Args:
        version: Airflow's; by default AIRFLOW_VERSION, else that of the stack that runs, else the newest that MWAA
            offers.
        parameters: gives parameters of template.yaml, beside the environment's name and bucket; asked when the
            deployment begins, since a moment that a schedule is set for must lie behind it.
        faults: let tests inject faults into the gateway.
        tree: the checkout whose Jetway is deployed; the emulator is this one's.

    Raises:
        StackError, SetupError, ProcessError, DeployError, AirflowError: what went wrong, where, what to do.
    """
    state = state_folder()
    run = state / "run"
    ports = _read_ports(state)
    of_running = ports.get("version") if runs() else None
    version = version or os.environ.get("AIRFLOW_VERSION") or of_running or airflow.DEFAULT_VERSION
    # All that can be refused is refused before anything is started or stopped.
    airflow.check_python(version, sys.version_info[:2])
    if of_running is None:
        down()  # what a machine that was switched off, or a MiniStack that died, has left
        (state / decisions.FILE).unlink(missing_ok=True)  # of the stack before; `down` leaves them to be read
        ports = choose_ports(state, version, ports)
    elif of_running != version:
        raise StackError(
            f"The local stack runs Airflow {of_running}. To run {version} instead: `make down`, after which all that "
            f"it holds is gone, then `AIRFLOW_VERSION={version} make up`."
        )
    with progress.step(f"Python environments (MiniStack, SAM, Airflow {version})"), ThreadPoolExecutor(3) as pool:
        wanted = [pool.submit(venvs.ensure, name) for name in ("ministack", "sam", f"airflow-{version}")]
        ministack_python, sam_python, airflow_python = [future.result() for future in wanted]
    certificate = certificates.ensure(state / "certificates")
    endpoint, gateway_url = f"http://127.0.0.1:{ports['ministack']}", f"https://localhost:{ports['gateway']}"
    with progress.step("MiniStack"):
        ministack.start(
            ministack_python,
            port=ports["ministack"],
            folder=run,
            temporary=state / "tmp",
            decisions=state / decisions.FILE,
            lambda_env={
                "AWS_ENDPOINT_URL_MWAA": gateway_url,
                "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
                "AWS_CA_BUNDLE": str(certificate.bundle),
                "REQUESTS_CA_BUNDLE": str(certificate.bundle),
                # MiniStack itself asks issuers of JWTs for their keys.
                "SSL_CERT_FILE": str(certificate.bundle),
            },
        )
        key = environment_bucket.make(
            ministack.client("s3", endpoint), ministack.client("kms", endpoint), ENVIRONMENT_BUCKET
        )
    aws = {**ministack.CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, **AIRFLOW_OPTIONS}
    with progress.step("Airflow's database"):
        prepared = airflow.prepare(state, airflow_python, version, port=ports["airflow"], extra_env=aws)
    gateway = GatewayConfig(
        environment=ENVIRONMENT_NAME,
        bucket=ENVIRONMENT_BUCKET,
        kms_key=key,
        port=ports["gateway"],
        state=state / "gateway",
        airflow=prepared.file,
        certificate=certificate.certificate,
        key=certificate.key,
        endpoint=endpoint,
        account=ministack.ACCOUNT,
        region=ministack.REGION,
        images=IMAGES,
        metrics_seconds=METRICS_SECONDS,
        faults=faults,
    )

    def start_airflow() -> None:
        with progress.step(f"Apache Airflow {version}"):
            airflow.start(prepared)

    def start_gateway() -> None:
        with progress.step("MWAA gateway"):
            service.start(gateway, state / "gateway.json", folder=run)

    # None of the three needs the others to begin, and Airflow takes a while.
    pool = ThreadPoolExecutor(2)
    try:
        starting = [pool.submit(start_airflow), pool.submit(start_gateway)]

        def all_parameters() -> Mapping[str, str]:
            return {"EnvironmentKmsKeyArn": key, "UpdateQuietSeconds": UPDATE_QUIET_SECONDS, **parameters()}

        fingerprint = _deploy(
            progress, state, sam_python.with_name("sam"), endpoint, all_parameters, version=version, tree=tree
        )
        for program in starting:
            program.result()
    finally:
        # After Ctrl-C nobody waits for them: they end when `down` stops what they wait for.
        pool.shutdown(wait=False, cancel_futures=True)
    emf_bridge.start(endpoint, folder=run)
    stack = Stack(
        state=str(state),
        endpoint=endpoint,
        gateway_url=gateway_url,
        airflow_url=prepared.url,
        airflow_version=version,
        ca_bundle=str(certificate.bundle),
        outputs=_outputs(endpoint),
        deployed=fingerprint,
    )
    (state / "stack.json").write_text(json.dumps(asdict(stack), indent=2))
    return stack


def _deploy(
    progress: Progress,
    state: Path,
    sam: Path,
    endpoint: str,
    parameters: Callable[[], Mapping[str, str]],
    *,
    version: str,
    tree: Path,
) -> str:
    """Build and deploy unless the same is deployed already, and return its fingerprint."""
    with progress.step("sam build"):
        template = deploy.build(sam, venvs.python_with_pip(), folder=state, airflow_version=version, tree=tree)
    all_parameters = {
        "EnvironmentName": ENVIRONMENT_NAME,
        "EnvironmentBucketName": ENVIRONMENT_BUCKET,
        "AirflowLayers": f"airflow{version.partition('.')[0]}",
        **parameters(),
    }
    fingerprint = deploy.fingerprint(all_parameters, tree=tree)
    deployed = _read(state)
    if deployed is None or deployed.deployed != fingerprint or not _stack_exists(endpoint):
        with progress.step("sam deploy"):
            deploy.deploy(sam, template, endpoint=endpoint, parameters=all_parameters, tree=tree)
    return fingerprint


_GRACE = 2.0  # seconds; what they would still write is thrown away


def down() -> None:
    """Stop every program of the stack. All that it held is gone; its ports and its logs stay."""
    state = state_folder()
    run = state / "run"
    for name in (UI, emf_bridge.NAME, "gateway"):
        processes.stop_named(run, name, grace=_GRACE)
    for file in state.glob("airflow-*/jetway.json"):
        airflow.stop(airflow.Airflow.read(file), grace=_GRACE)
    processes.stop_named(run, ministack.NAME, grace=_GRACE)
    # What was started by somebody who was killed at once, before anything was written down.
    processes.stop_strays(run, *(home / "run" for home in state.glob("airflow-*")))
    (state / "stack.json").unlink(missing_ok=True)
    for path in (state / "tmp", state / "gateway", *state.glob("airflow-*/*")):
        if path.is_dir() and not path.is_symlink():
            if path.name != "run":  # has the logs, for `make logs`
                shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def stopped_on_failure() -> Iterator[bool]:
    """Stop what was started inside when it fails or is interrupted. Gives whether a stack ran before: that goes on."""
    ran_before = runs()
    try:
        yield ran_before
    except BaseException:
        if not ran_before:
            down()
        raise


def runs() -> bool:
    """Whether a stack runs."""
    return processes.find(state_folder() / "run", ministack.NAME) is not None


def running() -> Stack:
    """Return the stack that runs.

    Raises:
        StackError: none does.
    """
    stack = _read(state_folder())
    if stack is None or not runs():
        raise StackError("The local stack is not running. Start it with `make up`.")
    return stack


def _read(state: Path) -> Stack | None:
    file = state / "stack.json"
    return Stack(**json.loads(file.read_text())) if file.exists() else None


def _read_ports(state: Path) -> dict[str, Any]:
    """What `choose_ports` wrote; nothing before the first `up`."""
    file = state / "ports.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def choose_ports(state: Path, version: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the ports of a stack that is about to start: those of last time where they are free, so that old
    bookmarks and shells stay right."""

    def choose(port: int | None) -> int:
        return port if port is not None and processes.port_is_free(port) else processes.free_port()

    ports = {"version": version, **{name: choose(before.get(name)) for name in PORTS}}
    state.mkdir(parents=True, exist_ok=True)
    (state / "ports.json").write_text(json.dumps(ports))
    return ports


def ui_port() -> int:
    """Return the port for the status page: that of last time where it is free."""
    port: int = _read_ports(state_folder()).get(UI, 0)
    return port if port and processes.port_is_free(port) else processes.free_port()


def _stack_exists(endpoint: str) -> bool:
    cloudformation = ministack.client("cloudformation", endpoint)
    return any(
        stack["StackName"] == deploy.STACK_NAME and stack["StackStatus"].endswith("COMPLETE")
        for stack in cloudformation.describe_stacks()["Stacks"]
    )


def _outputs(endpoint: str) -> dict[str, str]:
    cloudformation = ministack.client("cloudformation", endpoint)
    (stack,) = cloudformation.describe_stacks(StackName=deploy.STACK_NAME)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
