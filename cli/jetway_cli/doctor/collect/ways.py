"""Ways to Airflow: its REST API, its command line, the HTTP API of the stack; and the layers that load DAG files."""

from __future__ import annotations

import base64
import io
import json
import os
import time
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jetway_cli.doctor.facts import LoadSeen, StackResource, Trip
from jetway_cli.errors import error_code

if TYPE_CHECKING:
    from jetway_cli.doctor.asking import Desk

LOADING = 60.0  # seconds: a cold start imports Airflow
LONGEST_TRIP = 20.0
# Good on every Airflow that a layer has.
PROBE = """from datetime import datetime

from airflow import DAG

with DAG("jetway_doctor", start_date=datetime(2026, 1, 1), schedule=None):
    pass
"""


def rest(desk: Desk, environment: str) -> Trip:
    """Ask for one DAG over InvokeRestApi, in the caller's own Airflow role.

    Raises:
        ClientError, BotoCoreError: MWAA did not pass the question on.
    """
    from botocore.exceptions import ClientError

    started = time.monotonic()
    try:
        desk.client("mwaa", seconds=LONGEST_TRIP).invoke_rest_api(
            Name=environment, Path="/dags", Method="GET", QueryParameters={"limit": 1}
        )
    except ClientError as exc:
        if error_code(exc) not in {"RestApiClientException", "RestApiServerException"}:
            raise
        status = exc.response.get("RestApiStatusCode", "an error")
        return Trip(False, f"Airflow answered {status}: {json.dumps(exc.response.get('RestApiResponse'))[:300]}")
    return Trip(True, "Airflow answered", time.monotonic() - started)


def cli(desk: Desk, environment: str) -> Trip:
    """Have Airflow's command line say its version.

    Raises:
        ClientError, BotoCoreError: MWAA gives no token.
    """
    from requests.utils import get_environ_proxies

    from jetway.airflow import commands
    from jetway.airflow.endpoint import CliEndpoint
    from jetway.airflow.environment import Environment
    from jetway.airflow.web_server import new_session
    from jetway.errors import JetwayError

    mwaa = desk.client("mwaa")
    # A denial is told as what it is; the endpoint has one word for all.
    host = mwaa.create_cli_token(Name=environment)["WebServerHostname"]
    session = new_session()
    if "AWS_CA_BUNDLE" in os.environ:  # the web server is AWS's; requests would prefer its own variable
        session.trust_env, session.verify = False, os.environ["AWS_CA_BUNDLE"]
        session.proxies.update(get_environ_proxies(f"https://{host}/"))
    endpoint = CliEndpoint(
        mwaa, Environment(mwaa, environment), session=session, connect_timeout=CONNECTING, read_timeout=LONGEST_TRIP
    )
    started = time.monotonic()
    try:
        output = endpoint.run(commands.version())
    except JetwayError as exc:
        return Trip(False, str(exc))
    finally:
        session.close()
    said = output.stdout.strip().splitlines()
    if output.failed:
        return Trip(False, f"`airflow version` failed: {output.stderr.strip()[-300:]}")
    return Trip(True, f"Airflow {said[-1] if said else ''}".strip(), time.monotonic() - started)


CONNECTING = 5.0


def health(desk: Desk) -> tuple[int, Mapping[str, Any]]:
    """Ask the HTTP API how it is; its function asks Airflow the way that all functions do.

    Raises:
        ApiTroubleError: there is no answer.
    """
    from jetway_cli.api import Api, ApiTroubleError

    try:
        answer = Api(desk.target).call("GET", "/health", tries=1, seconds=LONGEST_TRIP)
    except ApiTroubleError as exc:
        if exc.answer is None:
            raise
        answer = exc.answer
    return answer.status, answer.body


def load(desk: Desk, resource: StackResource) -> LoadSeen:
    """Have import_dag load a DAG file that is good; its role allows nothing, so that nothing can come of it."""
    from botocore.exceptions import ClientError

    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("jetway_doctor.py", PROBE)
    options = {"airflow_version": "", "import_timeout": 30.0}
    question = {
        "bundle": {"zip": base64.b64encode(bundle.getvalue()).decode()},
        "files": ["jetway_doctor.py"],
        "options": options,
    }
    try:
        answer = desk.client("lambda", seconds=LOADING).invoke(
            FunctionName=resource.physical, Payload=json.dumps(question).encode()
        )
    except ClientError as exc:
        if error_code(exc) not in {"ResourceNotFoundException", "TooManyRequestsException"}:
            raise
        return LoadSeen(resource.logical, error=str(exc))
    said = json.loads(answer["Payload"].read())
    said = said if isinstance(said, dict) else {}
    if "FunctionError" in answer:
        return LoadSeen(resource.logical, error=f"{said.get('errorType')}: {said.get('errorMessage')}"[:500])
    if "unavailable" in said:
        return LoadSeen(resource.logical, error=str(said["unavailable"])[:500])
    (loaded,) = said.get("loaded") or [{}]
    errors = "; ".join(str(one.get("message")) for one in loaded.get("findings", []) if one.get("severity") == "error")
    return LoadSeen(resource.logical, said.get("airflow"), loaded.get("verdict"), errors or None)
