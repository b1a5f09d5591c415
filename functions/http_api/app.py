"""http_api: starts and shows DAG runs over HTTP."""

from __future__ import annotations

import os
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import JetwayError
from jetway.events.denials import denial_in, say
from jetway.http import responses as answers
from jetway.http.problems import NO_SUCH_RESOURCE, Problem, ProblemError, problem_of
from jetway.http.routes import dags, monitor, pages, triggers
from jetway.observability import logger, metrics
from jetway.wiring.http_api import wired

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

app = APIGatewayHttpResolver()
for router in (dags.router, triggers.router, monitor.router, pages.routes(Path(__file__).parent / "pages")):
    app.include_router(router)

if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    # While Lambda starts the function it has a whole CPU; in the first call it would have a third of one.
    wired().warm_up()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    app.append_context(services=wired())  # type: ignore[no-untyped-call]
    answer = app.resolve(event, context)
    if metrics.metric_set:  # seldom: a right that is missing
        wired().flush_metrics()
    return answer


@app.exception_handler([JetwayError, ProblemError])  # type: ignore[untyped-decorator]
def _problem(error: JetwayError | ProblemError) -> Response[str]:
    if (denial := denial_in(error)) is not None:
        say(denial)
    return _answer(error.problem if isinstance(error, ProblemError) else problem_of(error))


@app.exception_handler([BotoCoreError, ClientError])  # type: ignore[untyped-decorator]
def _aws_problem(_error: BotoCoreError | ClientError) -> Response[str]:
    logger.exception("an AWS service returned an error")
    detail = (
        "An AWS service that this API uses returned an error or did not respond. Try again with the same "
        "Idempotency-Key."
    )
    return _answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "aws-unavailable", detail, answers.RETRY_AFTER))


@app.not_found
def _not_found(_error: Exception) -> Response[str]:
    return _answer(NO_SUCH_RESOURCE)


def _answer(problem: Problem) -> Response[str]:
    return answers.problem_answer(problem, app.current_event.path)
