"""import_dag is asked, and its troubles are told from those of the file."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from jetway.errors import LoadUnavailableError
from jetway.loading.import_dag_client import LoadFunctions

OPTIONS = {"airflow_version": "3.3.1", "import_timeout": 30.0}
LOADED: dict[str, Any] = {
    "path": "a.py",
    "verdict": "accepted",
    "skipped": None,
    "findings": [],
    "dags": [],
    "siblings": [],
    "missing": [],
    "seconds": 0.1,
}


class World:
    """The functions, with Lambda's and S3's answers as they are given."""

    def __init__(self) -> None:
        keys: Any = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.client, self.s3 = boto3.client("lambda", **keys), boto3.client("s3", **keys)
        self.stub, self.s3_stub = Stubber(self.client), Stubber(self.s3)
        self.stub.activate()
        self.s3_stub.activate()
        self.functions = LoadFunctions(self.client, self.s3, "drop", {3: "import-dag-3", 2: "import-dag-2"})

    def answers(self, answer: Any, **more: str) -> None:
        body = json.dumps(answer).encode()
        payload = StreamingBody(io.BytesIO(body), len(body))
        self.stub.add_response("invoke", {"Payload": payload, **more}, {"FunctionName": "import-dag-3", "Payload": ANY})

    def load(self, bundle: bytes = b"zip") -> Any:
        return self.functions.load("import-dag-3", bundle, ["a.py"], OPTIONS)


def test_the_answer_is_of_the_one_file() -> None:
    world = World()
    world.answers({"airflow": "3.3.1", "loaded": [LOADED]})
    answer = world.load()
    assert (answer.loaded, answer.airflow_version, answer.died) == (LOADED, "3.3.1", None)


DIED = {"errorType": "Runtime.ExitError", "errorMessage": "exit status 9"}


def test_a_file_of_which_two_sandboxes_die_ends_the_function() -> None:
    world = World()
    world.answers(DIED, FunctionError="Unhandled")
    world.answers({"airflow": "3.3.1", "loaded": []})
    world.answers(DIED, FunctionError="Unhandled")
    assert world.load().died == "Runtime.ExitError: exit status 9"
    world.stub.assert_no_pending_responses()


def test_a_sandbox_that_is_lost_once_is_no_fault_of_the_file() -> None:
    world = World()
    world.answers(DIED, FunctionError="Unhandled")
    world.answers({"airflow": "3.3.1", "loaded": []})
    world.answers({"airflow": "3.3.1", "loaded": [LOADED]})
    answer = world.load()
    assert (answer.loaded, answer.died) == (LOADED, None)


def test_a_function_that_dies_without_a_file_does_not_work() -> None:
    world = World()
    world.answers(DIED, FunctionError="Unhandled")
    world.answers(DIED, FunctionError="Unhandled")
    with pytest.raises(LoadUnavailableError, match=r"import-dag-3 does not work: Runtime\.ExitError"):
        world.load()


def test_an_airflow_that_cannot_be_imported_is_no_fault_of_the_file() -> None:
    world = World()
    world.answers({"unavailable": "no Airflow"})
    with pytest.raises(LoadUnavailableError, match="no Airflow"):
        world.load()


def test_throttling_is_worth_another_try() -> None:
    world = World()
    world.stub.add_client_error("invoke", "TooManyRequestsException", http_status_code=429)
    with pytest.raises(LoadUnavailableError, match="cannot be invoked"):
        world.load()


def test_a_large_folder_goes_through_the_bucket() -> None:
    world = World()
    world.s3_stub.add_response("put_object", {}, {"Bucket": "drop", "Key": ANY, "Body": ANY, "ContentType": ANY})
    world.answers({"airflow": "3.3.1", "loaded": [LOADED]})
    sent: list[Any] = []
    world.client.meta.events.register(
        "provide-client-params.lambda.Invoke", lambda params, **_: sent.append(params["Payload"])
    )
    world.load(bytes(5 * 1024**2))
    url = json.loads(sent[0])["bundle"]["url"]
    assert url.startswith("https://drop.s3.amazonaws.com/bundles/")
    world.s3_stub.assert_no_pending_responses()


@pytest.mark.parametrize(("major", "function"), [(2, "import-dag-2"), (3, "import-dag-3"), (4, "import-dag-3")])
def test_the_nearest_version_loads(major: int, function: str) -> None:
    assert World().functions.nearest(major) == function


SPENT = {
    "errorType": "Runtime.ExitError",
    "errorMessage": "RequestId: 1 Error: Runtime exited with error: exit status 75",
}


def test_a_spent_sandbox_is_left_for_a_fresh_one_and_says_nothing_of_the_file() -> None:
    world = World()
    for _ in range(5):
        world.answers(SPENT, FunctionError="Unhandled")
    world.answers({"airflow": "3.3.1", "loaded": [LOADED]})
    answer = world.load()
    assert (answer.loaded, answer.died) == (LOADED, None)


def test_where_all_sandboxes_are_spent_nothing_can_be_loaded_now() -> None:
    world = World()
    for _ in range(6):
        world.answers(SPENT, FunctionError="Unhandled")
    with pytest.raises(LoadUnavailableError, match=r"import-dag-3 has no fresh sandbox: .*exit status 75"):
        world.load()
    world.stub.assert_no_pending_responses()
