"""`jetway doctor`."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections import Counter
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import click

from jetway_cli.arguments import Text
from jetway_cli.doctor.checks import judge
from jetway_cli.doctor.results import Result
from jetway_cli.errors import NegativeError
from jetway_cli.output import print_json, print_table, say
from jetway_cli.stack import Target, api_option, is_typed, stack_options, typed_options
from jetway_cli.times import Span


@click.command(
    epilog=(
        "Exit codes: 0 all is well, or there are only warnings; 1 something is broken; 2 wrong usage; 3 "
        "the checks could not run, for example without credentials or without the stack. A check that you "
        "do not have permission for shows “not known” and the permission that it needs."
    )
)
@click.option("--probe", metavar="DAG", type=Text(), help="Also drop a file for DAG and wait for its run.")
@click.option("--timeout", type=Span(), default="10m", show_default=True, help=("Maximum time to wait for that run."))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@api_option
@stack_options
@click.pass_context
def doctor(context: click.Context, /, *, probe: str | None, timeout: timedelta, as_json: bool, **where: Any) -> None:
    """Check the stack and its surroundings, and show how to fix what is wrong.

    Without --probe, it changes nothing.
    """
    from jetway.airflow.names import check_dag_id
    from jetway_cli.doctor.collect.all import collect

    if probe:
        check_dag_id(probe)
    target = Target(**where)
    began = time.monotonic()
    facts = collect(target)
    results = judge(facts)
    if probe:
        results.append(_probe(target, probe, timeout))
    of_aws, of_jetway = _of_aws(context), typed_options(context)
    results = [replace(one, remedy=addressed(one.remedy, of_aws, of_jetway)) for one in results]
    if as_json:
        print_json({"stack": facts.stack.name, "worst": worst(results), "checks": [asdict(one) for one in results]})
    else:
        show(results, time.monotonic() - began)
    broken = [one.id for one in results if one.state == "broken"]
    if broken:
        raise NegativeError(f"Broken: {', '.join(broken)}.")


def addressed(text: str, of_aws: str, of_jetway: str) -> str:
    """Return a text in which commands go to the same AWS, and to the same stack, as this one did.

    Args:
        text: with commands of `aws` and `jetway`.
        of_aws: options that each command of aws gets.
        of_jetway: options that each command of jetway gets.

    >>> addressed("aws sqs purge-queue --queue-url x", " --region eu-west-1", "")
    'aws --region eu-west-1 sqs purge-queue --queue-url x'
    """
    text = re.sub(r"(?<![\w/-])aws(?= [a-z0-9-]+ [a-z0-9-]+)", lambda _: f"aws{of_aws}", text)
    return re.sub(r"`jetway [a-z]+", lambda found: f"{found[0]}{of_jetway}", text)


def _of_aws(context: click.Context) -> str:
    """Options with which the AWS CLI asks where this command does; an address from the environment is one, too."""
    given = {name: context.params[name] for name in ("region", "profile", "endpoint_url") if is_typed(context, name)}
    given.setdefault("endpoint_url", os.environ.get("AWS_ENDPOINT_URL"))
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items() if value)


def _probe(target: Target, dag_id: str, timeout: timedelta) -> Result:
    from jetway_cli.doctor import asking
    from jetway_cli.doctor import probe as probing

    asked = asking.ask("s3:PutObject", lambda: probing.probe(target, dag_id, timeout))
    if asked.value is not None:
        return asked.value
    if asked.denied:
        return Result(
            "probe",
            "not known",
            f"You do not have permission for {asked.denied}.",
            f"Request {asked.denied} in your policy.",
        )
    return Result("probe", "not known", str(asked.trouble), "Try again later.")


def worst(results: list[Result]) -> str:
    """Return the worst state there is; “not known” is worse than ok, and no more."""
    states = {one.state for one in results}
    return next((state for state in ("broken", "warning", "not known") if state in states), "ok")


def show(results: list[Result], seconds: float) -> None:
    """Print a table for people: a remedy stands in a line of its own below what was seen."""
    rows = []
    for one in results:
        rows.append([one.state, one.id, one.seen])
        if one.remedy and one.state != "ok":
            rows.append(["", "", f"→ {one.remedy}"])
    print_table(["state", "check", "seen"], rows)
    counts = Counter(one.state for one in results)
    said = ", ".join(f"{counts[state]} {state}" for state in ("broken", "warning", "not known", "ok") if counts[state])
    say(f"{len(results)} checks in {seconds:.0f} s: {said}.")
