"""Answers of the web server that got lost, and requests that never reached it."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from jetway.airflow import DagRunRequest
from jetway.airflow.web_server import new_session
from jetway.errors import (
    AnswerLostError,
    EnvironmentUnavailableError,
)
from tests.unit.airflow.webserver import (
    Reaction,
    answer,
    envelope,
    half_an_answer,
    output,
    reset,
    rows,
    silence,
    traceback,
    trickle,
)

if TYPE_CHECKING:
    from tests.unit.airflow.conftest import Stage

RUN = DagRunRequest("hello", "evt_1", {"key": "a b"})
SEEN = output("queued\n")
NOT_SEEN = output("None\n")


class TestLostAnswer:
    @pytest.mark.parametrize("loss", [reset, half_an_answer, silence], ids=lambda loss: loss.__name__)
    def test_of_a_run_that_was_created(self, stage: Stage, loss: Reaction) -> None:
        stage.ready()
        stage.web.will(loss, SEEN)

        run = stage.client(read_timeout=0.2).trigger_dag_run(RUN)

        assert (run.dag_run_id, run.state) == ("evt_1", "queued")
        assert stage.web.commands[1] == ["dags", "state", "hello", "evt_1"]

    @pytest.mark.parametrize("loss", [reset, half_an_answer, silence], ids=lambda loss: loss.__name__)
    def test_of_a_run_that_is_not_to_be_seen(self, stage: Stage, loss: Reaction) -> None:
        stage.ready()
        stage.web.will(loss, NOT_SEEN)

        with pytest.raises(AnswerLostError, match="'evt_1' of DAG 'hello' is not visible"):
            stage.client(read_timeout=0.2).trigger_dag_run(RUN)

    @pytest.mark.parametrize("second", [reset, answer(503), answer(500), answer(400), output(stderr="?", status=400)])
    def test_whose_look_up_fails(self, stage: Stage, second: Reaction) -> None:
        stage.ready()
        stage.web.will(reset, second)

        with pytest.raises(AnswerLostError, match="evt_1"):
            stage.client().trigger_dag_run(RUN)

    @pytest.mark.parametrize("died_of", ["OperationalError", "InterfaceError", "TimeoutError", "MemoryError"])
    def test_in_the_output_of_a_command_that_lost_its_database(self, stage: Stage, died_of: str) -> None:
        """It may have died on its way back from the insert."""
        stage.ready()
        client = stage.client()
        stage.web.will(traceback(f"sqlalchemy.exc.{died_of}: gone"), SEEN)

        assert client.trigger_dag_run(RUN).dag_run_id == "evt_1"

        stage.web.will(traceback(f"sqlalchemy.exc.{died_of}: gone"), NOT_SEEN)
        with pytest.raises(AnswerLostError, match=f"{died_of}.*might have run"):
            client.trigger_dag_run(RUN)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"null",
            b"[1]",
            b'"text"',
            b"not json",
            b"\xff\xfe\x00",
            b'{"stdout": 1, "stderr": 2}',
            b'{"stdout": "%%%", "stderr": "a"}',
            b"[" * 100_000,
            envelope("no json at all"),
            envelope('[{"dag_id": "hello", "dag_run_id": "another"}]'),
            envelope('[{"dag_id": "another", "dag_run_id": "evt_1"}]'),
            envelope('{"dag_id": "hello", "dag_run_id": "evt_1"}'),
            envelope("creating dag run run_id=evt_1"),
        ],
        ids=lambda body: body[:20].decode("latin-1"),
    )
    def test_in_garbage(self, stage: Stage, body: bytes) -> None:
        stage.ready()
        stage.web.will(answer(200, body), SEEN)

        assert stage.client().trigger_dag_run(RUN).state == "queued"

    def test_in_too_many_bytes(self, stage: Stage) -> None:
        stage.ready()
        stage.web.will(answer(200, envelope("x" * 200_000)), NOT_SEEN)

        with pytest.raises(AnswerLostError, match="more than 100000 bytes"):
            stage.client(max_answer_bytes=100_000).trigger_dag_run(RUN)

    def test_in_a_trickle(self, stage: Stage) -> None:
        """Each byte comes in time, the answer never."""
        stage.ready()
        stage.web.will(trickle, NOT_SEEN)

        with pytest.raises(AnswerLostError, match="did not finish its response in 0\\.3 s"):
            stage.client(read_timeout=0.3, clock=time.time).trigger_dag_run(RUN)


class TestNeverSent:
    def test_connection_refused(self, stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        stage.environment()
        stage.token(host=f"localhost:{port}")

        with pytest.raises(EnvironmentUnavailableError, match=r"cannot be reached.*refused.*VPC"):
            stage.client().trigger_dag_run(RUN)

    def test_name_unknown(self, stage: Stage) -> None:
        stage.environment()
        stage.token(host="acme.invalid")

        with pytest.raises(EnvironmentUnavailableError, match="cannot be reached"):
            stage.client().trigger_dag_run(RUN)

    def test_certificate_unknown(self, stage: Stage) -> None:
        stage.session = new_session()
        stage.ready()

        with stage.session, pytest.raises(EnvironmentUnavailableError, match="self-signed certificate"):
            stage.client().trigger_dag_run(RUN)

        assert stage.web.requests == []

    def test_proxy_refuses(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        stage.environment()
        stage.token(host="acme.invalid")

        with pytest.raises(EnvironmentUnavailableError, match="cannot be reached"):
            stage.client().trigger_dag_run(RUN)

    def test_handshake_that_never_ends(self, stage: Stage) -> None:
        """Nothing was sent, but urllib3 cannot tell: the careful answer is that it may have run."""
        with socket.create_server(("127.0.0.1", 0)) as mute:
            stage.environment()
            stage.token(host=f"localhost:{mute.getsockname()[1]}")

            with pytest.raises((AnswerLostError, EnvironmentUnavailableError)):
                stage.client(connect_timeout=0.2, read_timeout=0.2).trigger_dag_run(RUN)


def test_one_look_up_of_a_huge_list(stage: Stage) -> None:
    """A busy DAG's whole list, as far as the bound on an answer allows."""
    stage.ready()
    runs: list[dict[str, object]] = [
        {"dag_id": "hello", "run_id": f"r{n}", "state": "success", "logical_date": ""} for n in range(20_000)
    ]
    stage.web.will(rows(*runs))

    run = stage.client().get_dag_run("hello", "r19999")

    assert run is not None
    assert run.state == "success"
