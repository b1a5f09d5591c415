"""`make conformance`: the questions of docs/conformance.md, asked of AWS with the caller's credentials.

    python -m tools.aws.conformance                              # what needs no environment: about ten minutes
    python -m tools.aws.conformance --environment mine           # and what is asked of an MWAA environment
    python -m tools.aws.conformance --environment mine --update  # and what may begin an update of it
    python -m tools.aws.conformance --only conditional-copies
    python -m tools.aws.conformance --endpoint http://…          # of a stand-in, to see whether the script works

All that it makes is named jetway-conformance-…, and taken away in the end, after Ctrl-C too. The answers go to
build/conformance/<date>.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.aws.conformance.ground import Ground
from tools.aws.conformance.questions import OF_AN_ENVIRONMENT, QUESTIONS, Ask
from tools.venvs import ROOT

FOLDER = ROOT / "build" / "conformance"


class RefusedError(RuntimeError):
    """It was not begun; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Ask, and write the answers; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="make conformance CONFORMANCE='…'", description="Ask AWS what only AWS can settle."
    )
    parser.add_argument("--environment", help="name of an MWAA environment to ask about")
    parser.add_argument("--update", action="store_true", help="also ask what may begin an update of it")
    parser.add_argument("--only", action="append", choices=[*QUESTIONS, *OF_AN_ENVIRONMENT], help="this question")
    parser.add_argument("--endpoint", default=os.environ.get("ENDPOINT"), help="address of a stand-in for AWS")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the answers go")
    given = parser.parse_args(arguments)
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    try:
        who = check(session, given.endpoint)
        questions = chosen(given.only, given.environment)
    except RefusedError as exc:
        print(f"Refused: {exc}", file=sys.stderr)
        return 2
    began = datetime.now(UTC)
    ground = Ground(session, f"{began:%m%d%H%M%S}", given.endpoint, given.environment, given.update)
    # A service manager ends programs so; what was made is taken away all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    answers, interrupted = ask_all(ground, questions)
    file = given.folder / f"{began:%Y-%m-%dT%H%M%SZ}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(began, who, session.region_name or "", answers, ground.left), encoding="utf-8")
    print(f"The answers are in {file}.")
    for left in ground.left:
        print(f"Left behind, delete it by hand: {left}", file=sys.stderr)
    return 130 if interrupted else 1 if ground.left else 0


def check(session: boto3.Session, endpoint: str | None) -> str:
    """Return who asks.

    Raises:
        RefusedError: there are no credentials or no Region, or AWS is a stand-in that nobody asked for.
    """
    if session.get_credentials() is None:
        raise RefusedError("there are no AWS credentials. Sign in, or set AWS_PROFILE.")
    if session.region_name is None:
        raise RefusedError("there is no Region. Set AWS_REGION.")
    if endpoint is None and any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ):
        raise RefusedError(
            "AWS_ENDPOINT_URL leads to a stand-in, which answers what we made it answer. For AWS: `make -s unenv`; to "
            "see whether the script works: ENDPOINT=… make conformance"
        )
    try:
        make = session.client("sts", endpoint_url=endpoint)
        return str(make.get_caller_identity()["Arn"])
    except (ClientError, BotoCoreError) as exc:
        raise RefusedError(f"AWS does not know who asks: {exc}") from exc


def chosen(only: list[str] | None, environment: str | None) -> Mapping[str, Ask]:
    """Return the questions to ask.

    Raises:
        RefusedError: one is of an environment, and none is given.
    """
    everything = {**QUESTIONS, **OF_AN_ENVIRONMENT}
    wanted = only or [*QUESTIONS, *(OF_AN_ENVIRONMENT if environment else ())]
    if environment is None and (of := [name for name in wanted if name in OF_AN_ENVIRONMENT]):
        raise RefusedError(f"{', '.join(of)}: asked of an environment. Give --environment NAME.")
    return {name: everything[name] for name in wanted}


def ask_all(ground: Ground, questions: Mapping[str, Ask]) -> tuple[dict[str, str], bool]:
    """Ask one question after the other, then take everything away; return answers, and whether it was interrupted."""
    answers: dict[str, str] = {}
    interrupted = False
    try:
        for name, ask in questions.items():
            try:
                answers[name] = ask(ground)
            # NotImplementedError is moto's word for what it lacks.
            except (ClientError, BotoCoreError, ValueError, KeyError, NotImplementedError) as exc:
                answers[name] = f"could not be asked: {type(exc).__name__}: {exc}"
            print(f"{name}: {answers[name]}", flush=True)
    except (KeyboardInterrupt, SystemExit):
        interrupted = True
        print("Interrupted. What was made is taken away.", file=sys.stderr)
    finally:
        ground.close()
    return answers, interrupted


def page(began: datetime, who: str, region: str, answers: Mapping[str, str], left: list[str]) -> str:
    """Return the answers as Markdown."""
    account = who.split(":")[4] if who.count(":") >= 4 else "?"
    rows = "".join(f"| `{name}` | {answer.replace('|', '/')} |\n" for name, answer in answers.items())
    rest = "".join(f"- left behind: {one}\n" for one in left)
    return (
        f"# Conformance, {began:%Y-%m-%d %H:%M} UTC\n\n{region}, account {account}, boto3 {boto3.__version__}. What "
        f"each answer means to Jetway: docs/conformance.md.\n\n| question | answer |\n|---|---|\n{rows}\n{rest}"
    )


if __name__ == "__main__":
    sys.exit(main())
