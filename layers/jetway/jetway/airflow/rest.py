"""The Airflow client over Airflow's REST API, whatever carries its calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import quote

from jetway.airflow import duplicates, names, rest_responses
from jetway.airflow.cli_errors import DuplicateError, dag_stale
from jetway.errors import AnswerLostError, DagNotFoundError, InvalidRequestError, JetwayError

if TYPE_CHECKING:
    from jetway.airflow import AirflowQuestions, Dag, DagRun, DagRunRequest, DagState, ImportProblem

    from .environment import Environment

Method = Literal["GET", "POST"]

# Filters of GET /dags/{dag_id}/dagRuns, from Airflow's source. They find more than the one id (a substring
# without regard to case with `_` as wildcard; a prefix), so the answer is searched for it. An older version
# ignores a filter that it does not know and answers with all runs.
_FIRST_WITH_PREFIX_FILTER = (3, 3)
_FIRST_WITH_FILTER = (3, 2)
_FIRST_WITH_NOTES = (2, 5)
_PAGE = 100

# https://github.com/apache/airflow/pull/36630
FIRST_WITH_INTERVAL = (2, 9)


class RestCalls(Protocol):
    """One way to call Airflow's REST API."""

    @property
    def longest_path(self) -> int | None:
        """Characters that a path may have; None for no bound."""
        ...

    def call(
        self,
        method: Method,
        path: str,
        dag_id: str,
        *,
        creates: bool = False,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> object:
        """Make one call and return Airflow's JSON document.

        Args:
            method: of HTTP.
            path: below the API's own, which differs between versions; its segments are quoted.
            dag_id: for the texts of errors.
            creates: it creates something: an answer that does not prove that it did not is a lost one.
            query: parameters; JSON values.
            body: a JSON object.

        Raises:
            JetwayError: as `jetway.airflow.AirflowClient`; DuplicateError for what exists already, which stays within
                this package.
        """
        ...


class RestClient:
    """`jetway.airflow.AirflowQuestions` over Airflow's REST API.

    What does not fit into the longest path goes over the command line instead.
    """

    def __init__(self, api: RestCalls, environment: Environment, fallback: Callable[[], AirflowQuestions]) -> None:
        """Take the parts; nothing is called before the first request.

        Args:
            api: makes the calls.
            environment: tells version and status.
            fallback: returns the client of the command line; called when it is needed.
        """
        self._api = api
        self._environment = environment
        self._fallback = fallback

    def trigger_dag_run(self, request: DagRunRequest) -> DagRun:
        """Create the run; see `jetway.airflow.AirflowClient`."""
        names.check_request(request)
        facts = self._environment.serving_facts(self.ping)
        path = _path("dags", request.dag_id, "dagRuns")
        if facts.version < _FIRST_WITH_NOTES:
            request = replace(request, note=None)
        if not self._takes(path):
            self._log_fallback("start", request.dag_id)
            return self._fallback().trigger_dag_run(request)
        try:
            return self._create(path, request, facts.version)
        except DuplicateError as exc:
            return self._resolve_duplicate(request, exc)
        except AnswerLostError as exc:
            return duplicates.after_a_lost_answer(request, exc, self.get_dag_run)
        except DagNotFoundError as exc:
            raise self._why_not_found(request.dag_id, exc) from exc

    def get_dag_run(self, dag_id: str, dag_run_id: str) -> DagRun | None:
        """Look one run up; see `jetway.airflow.AirflowClient`."""
        names.check_dag_id(dag_id)
        names.check_run_id(dag_run_id)
        path = _path("dags", dag_id, "dagRuns", dag_run_id)
        if self._takes(path):
            return self._get(path, dag_id, dag_run_id)
        path = _path("dags", dag_id, "dagRuns")
        if self._environment.facts().version >= _FIRST_WITH_FILTER and self._takes(path):
            run, complete = self._search(path, dag_id, dag_run_id)
            if run is not None or complete:
                return run
        self._log_fallback("look up", dag_id)
        return self._fallback().get_dag_run(dag_id, dag_run_id)

    def list_dags(self, *, limit: int, offset: int = 0) -> tuple[list[Dag], int]:
        """List DAGs; see `jetway.airflow.AirflowLists`."""
        query = {"limit": limit, "offset": offset, "order_by": "dag_id"}
        return rest_responses.dags(self._api.call("GET", "/dags", "", query=query))

    def list_import_errors(self) -> list[ImportProblem]:
        """List import errors, a page at a time; see `jetway.airflow.AirflowLists`."""
        found: list[ImportProblem] = []
        while True:
            query = {"limit": _PAGE, "offset": len(found)}
            page, total = rest_responses.import_errors(self._api.call("GET", "/importErrors", "", query=query))
            found += page
            if not page or len(found) >= total:
                return found

    def list_dag_runs(self, dag_id: str, *, limit: int, state: str | None = None) -> tuple[list[DagRun], int]:
        """List runs; see `jetway.airflow.AirflowLists`."""
        names.check_dag_id(dag_id)
        path = _path("dags", dag_id, "dagRuns")
        if not self._takes(path):
            self._log_fallback("list runs", dag_id)
            return self._fallback().list_dag_runs(dag_id, limit=limit, state=state)
        query: dict[str, Any] = {"limit": limit, "order_by": "-id"}  # the id grows with every run: newest first
        if state is not None:
            query["state"] = state
        return rest_responses.runs(self._api.call("GET", path, dag_id, query=query), dag_id)

    def get_dag_state(self, dag_id: str) -> DagState:
        """Tell one DAG's state; see `jetway.airflow.AirflowQuestions`."""
        names.check_dag_id(dag_id)
        if not self.fits(dag_id):
            self._log_fallback("look up", dag_id)
            return self._fallback().get_dag_state(dag_id)
        return rest_responses.dag_state(self._api.call("GET", _path("dags", dag_id), dag_id), dag_id)

    def fits(self, dag_id: str) -> bool:
        """Whether a DAG can be asked for without the command line."""
        return self._takes(_path("dags", dag_id))

    def keeps_note(self, dag_id: str) -> bool:
        """See `jetway.airflow.AirflowQuestions`; the command line would lose it."""
        return self._environment.facts().version >= _FIRST_WITH_NOTES and self._takes(_path("dags", dag_id, "dagRuns"))

    def ping(self) -> None:
        """Ask for one DAG: it wants the database and the role's permission; see `jetway.airflow.AirflowQuestions`."""
        self.list_dags(limit=1)

    def list_ended_runs(
        self, dag_ids: Sequence[str], *, since: datetime, max_pages: int = 20
    ) -> tuple[list[DagRun], bool]:
        """Return the runs of many DAGs that have ended since then, by their end, and whether these are all.

        One call for a hundred runs: the list call takes many DAGs, states and a lower bound of the end date on every
        version, and `~` stands for any DAG in its path.

        Raises:
            TransientError: as in `trigger_dag_run`.
        """
        body: dict[str, Any] = {
            "dag_ids": list(dag_ids),
            "states": ["success", "failed"],
            "end_date_gte": since.isoformat(),
            "order_by": "end_date",
            "page_limit": _PAGE,
        }
        found: list[DagRun] = []
        for _ in range(max_pages):
            path = "/dags/~/dagRuns/list"
            page, total = rest_responses.runs(
                self._api.call("POST", path, "~", body={**body, "page_offset": len(found)})
            )
            found += page
            if not page or len(found) >= total:
                return found, True
        return found, False

    def list_ends(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        dag_id: str | None = None,
        states: Sequence[str] = ("success", "failed"),
        offset: int = 0,
    ) -> tuple[list[DagRun], int]:
        """Return a page of the runs that ended in a time, the first to end first, and how many there are in all.

        Args:
            since, until: both included.
            dag_id: of this DAG only; None for all that the Airflow role may read.
            states: that they have ended with.
            offset: so many are left out.

        Raises:
            TransientError: as in `trigger_dag_run`.
        """
        body: dict[str, Any] = {
            "states": list(states),
            "end_date_gte": since.isoformat(),
            "order_by": "end_date",
            "page_limit": _PAGE,
            "page_offset": offset,
        }
        if until is not None:
            body["end_date_lte"] = until.isoformat()
        if dag_id is not None:
            body["dag_ids"] = [dag_id]
        return rest_responses.runs(self._api.call("POST", "/dags/~/dagRuns/list", "~", body=body))

    def list_queued_runs(self, dag_ids: Sequence[str], *, max_pages: int = 5) -> list[DagRun]:
        """Return the queued runs of many DAGs, a hundred with a call; no more than so many pages.

        Raises:
            TransientError: as in `trigger_dag_run`.
        """
        body: dict[str, Any] = {"dag_ids": list(dag_ids), "states": ["queued"], "page_limit": _PAGE}
        found: list[DagRun] = []
        for _ in range(max_pages):
            more = {**body, "page_offset": len(found)}
            page, total = rest_responses.runs(self._api.call("POST", "/dags/~/dagRuns/list", "~", body=more))
            found += page
            if not page or len(found) >= total:
                break
        return found

    def _create(self, path: str, request: DagRunRequest, version: tuple[int, ...]) -> DagRun:
        response = self._api.call("POST", path, request.dag_id, creates=True, body=_body(request, version))
        run = rest_responses.run(response, request.dag_id, request.dag_run_id)
        if run is None:
            raise AnswerLostError(f"POST {path} was answered, but without the run.")
        return run

    def _get(self, path: str, dag_id: str, run_id: str) -> DagRun | None:
        try:
            response = self._api.call("GET", path, dag_id)
        except DagNotFoundError:
            # 404 stands for an unknown DAG and for an unknown run of a known DAG.
            self._api.call("GET", _path("dags", dag_id), dag_id)
            return None
        run = rest_responses.run(response, dag_id, run_id)
        if run is None:
            raise AnswerLostError(f"GET {path} was answered, but without the run.")
        return run

    def _search(self, path: str, dag_id: str, run_id: str) -> tuple[DagRun | None, bool]:
        by_prefix = self._environment.facts().version >= _FIRST_WITH_PREFIX_FILTER
        # The prefix filter uses an index; the other one reads all runs of the DAG, in the database at least.
        name = "run_id_prefix_pattern" if by_prefix else "run_id_pattern"
        query = {name: run_id, "limit": _PAGE, "order_by": "run_id"}
        return rest_responses.run_in_list(self._api.call("GET", path, dag_id, query=query), dag_id, run_id)

    def _why_not_found(self, dag_id: str, exc: DagNotFoundError) -> DagNotFoundError:
        """Return why Airflow creates no run: to a stale DAG it answers 404 as to one that it never had."""
        try:
            return dag_stale(dag_id) if self.get_dag_state(dag_id) == "stale" else exc
        except JetwayError:
            return exc  # a courtesy: the words are less exact

    def _resolve_duplicate(self, request: DagRunRequest, exc: DuplicateError) -> DagRun:
        repeated = rest_responses.was_repeated(exc.__cause__)
        try:
            found = self.get_dag_run(request.dag_id, request.dag_run_id)
        except JetwayError as look_up:
            if repeated:
                raise duplicates.still_lost(request, exc, look_up) from look_up
            raise
        if found is not None and repeated:
            # boto3 sent the call twice: the run is the one that the first call made, as far as can be known.
            return found
        raise duplicates.verdict(request, found) from exc

    def _takes(self, path: str) -> bool:
        return self._api.longest_path is None or len(path) <= self._api.longest_path

    def _log_fallback(self, what: str, dag_id: str) -> None:
        from jetway.observability import logger

        logger.info(
            "%s over the command line: the REST path does not fit or cannot filter", what, extra={"dag_id": dag_id}
        )


def _path(*segments: str) -> str:
    # `:`, `+` and `~` may stand in a path as they are, which keeps it short.
    return "".join(f"/{quote(segment, safe=':+~')}" for segment in segments)


def _body(request: DagRunRequest, version: tuple[int, ...]) -> dict[str, Any]:
    body: dict[str, Any] = {"dag_run_id": request.dag_run_id, "conf": dict(request.conf)}
    if request.logical_date is not None:
        body["logical_date"] = request.logical_date.isoformat()
    elif version >= (3,):
        body["logical_date"] = None  # the key is required there; null asks for no date
    if request.data_interval is not None and version >= FIRST_WITH_INTERVAL:
        start, end = request.data_interval
        body |= {"data_interval_start": start.isoformat(), "data_interval_end": end.isoformat()}
    elif request.data_interval is not None and not request.is_interval_derived:
        raise InvalidRequestError(
            f"data_interval requires Airflow 2.9 or later; the environment has {'.'.join(map(str, version))}."
        )
    if request.note is not None:
        body["note"] = request.note
    return body
