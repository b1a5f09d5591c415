"""/dags and their runs, in the words of Airflow's REST API."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response  # noqa: TC002 - Powertools reads routes' annotations

from jetway.http import query
from jetway.http import responses as answers
from jetway.http.routes.request import Request, make_router
from jetway.http.routes.run_start import start
from jetway.http.run_requests import TRIGGER, identity_of, key_use, read_request

# Query parameters of each operation; docs/openapi.json is made from them.
START = (query.DRY_RUN,)
LIST_DAG_RUNS = (query.STATE, query.limit(50))
LIST_DAGS = (query.limit(100), query.OFFSET)

router = make_router()
request = Request(router)


@router.post(
    "/dags/<dag_id>/dagRuns",
    summary="Trigger Dag Run",
    description=(
        "Starts a run. Responds as soon as the run is on the dispatch queue. `Prefer: wait=25` waits for Airflow."
    ),
    tags=["DagRun"],
    operation_id="trigger_dag_run",
)
def trigger_dag_run(dag_id: str) -> Response[str]:
    """Accept a run: 202 as soon as it is on the dispatch queue, 200 when Airflow has it within the preferred wait."""
    caller = request.caller()
    options, call = request.query(START), request.call(caller.name, by=caller.arn)
    run = read_request(unquote(dag_id), call)
    key = key_use(call, TRIGGER, identity_of(unquote(dag_id), call))
    return start(request, run, call, request.reach(caller), key=key, dry_run=options["dry_run"])


@router.get(
    "/dags/<dag_id>/dagRuns/<dag_run_id>",
    summary="Get Dag Run",
    description=(
        "Shows the current state of a run in Airflow. If the run is queued behind a DAG that is paused or "
        "deleted, the response says why it does not start. If Airflow does not have the run yet, `event` in "
        "the problem document shows the state of the event that requested it."
    ),
    tags=["DagRun"],
    operation_id="get_dag_run",
)
def get_dag_run(dag_id: str, dag_run_id: str) -> Response[str]:
    """Show a run as Airflow has it now."""
    from jetway.http.routes.run_lookup import looked_up

    _, reach = request.asked()
    reach.require("read", unquote(dag_id))
    return looked_up(request, unquote(dag_id), unquote(dag_run_id))


@router.get(
    "/dags/<dag_id>/dagRuns",
    summary="Get Dag Runs",
    description="Lists the newest runs of a DAG, newest first.",
    tags=["DagRun"],
    operation_id="get_dag_runs",
)
def get_dag_runs(dag_id: str) -> Response[str]:
    """List the newest runs of a DAG."""
    options, reach = request.asked(LIST_DAG_RUNS)
    reach.require("read", unquote(dag_id))
    runs, total = request.ask(lambda airflow: airflow.list_dag_runs(unquote(dag_id), **options))
    return answers.json_answer({"dag_runs": [asdict(run) for run in runs], "total_entries": total})


@router.get(
    "/dags",
    summary="Get Dags",
    description="Lists the DAGs of the environment by dag_id, each once. DAGs whose file was deleted are not listed.",
    tags=["DAG"],
    operation_id="get_dags",
)
def get_dags() -> Response[str]:
    """List the DAGs that Airflow knows and the caller may see."""
    from jetway.http.access_lists import visible_dags

    options, reach = request.asked(LIST_DAGS)
    dags, total = request.ask(lambda airflow: visible_dags(airflow, reach, **options))
    return answers.json_answer({"dags": [answers.dag_shown(dag) for dag in dags], "total_entries": total})
