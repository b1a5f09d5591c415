"""`jetway sync`: looks now for what lies in the drop bucket and was never told."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import click

from jetway_cli.errors import NegativeError, StackTroubleError
from jetway_cli.output import print_json, say
from jetway_cli.stack import Target, stack_options

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

SECONDS = 310.0  # a little more than the function has
MOST_ROUNDS = 200  # of three minutes each


@click.command(epilog="The exit code is 1 if something is live that a lifecycle rule might have deleted.")
@click.option("--now", is_flag=True, help=("Include files of the last ten minutes, whose event might still arrive."))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stack_options
def sync(*, now: bool, as_json: bool, **where: Any) -> None:
    """Find dropped files whose event never arrived, and fix rules and schedules.

    Jetway does both automatically, every 15 minutes and every day. If the newest version of a file has no report, it
    is checked as if it were dropped now. Files of the last ten minutes are left to their events.
    """
    target = Target(**where)
    swept = sweep(_patient_client(target), target.output("SweepFunctionName"), at_once=now)
    target.client("sqs").send_message(
        QueueUrl=target.output("TriggerSyncQueueUrl"),
        MessageBody=json.dumps({"why": "jetway sync"}),
        MessageGroupId="triggers",
        MessageDeduplicationId=uuid.uuid4().hex,
    )
    if as_json:
        print_json(swept)
    else:
        click.echo(
            f"{swept['listed']} versions listed. {swept['queued'] - swept['deleted']} files have no report; "
            "they are checked now."
        )
        if swept["deleted"]:
            click.echo(f"{swept['deleted']} files were deleted but are live; they are removed now.")
        click.echo("Rules, schedules and alarms are compared with the trigger files.")
    if swept["still_live"]:
        keys = ", ".join(swept["still_live"])
        raise NegativeError(
            f"Live, although deleted from the drop bucket, possibly by a lifecycle rule: {keys}. To remove "
            "them, upload and delete them again."
        )


def _patient_client(target: Target) -> LambdaClient:
    """The client of Lambda that waits for as long as the function may take, and asks once."""
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=SECONDS, retries={"total_max_attempts": 1})
    return target.session.client("lambda", endpoint_url=target.endpoint_url, config=config)


def sweep(client: LambdaClient, function: str, *, at_once: bool = False) -> dict[str, Any]:
    """Have everything looked at; return what was found.

    Args:
        at_once: also what came just now.

    Raises:
        StackTroubleError: the function failed, or did not come to an end.
    """
    found: dict[str, Any] = {"listed": 0, "queued": 0, "deleted": 0, "still_live": [], "finished": False}
    for number in range(MOST_ROUNDS):
        # A pass that is cut short is gone on with, not begun anew.
        payload = json.dumps({"whole": number == 0, "at_once": at_once}).encode()
        answer = client.invoke(FunctionName=function, Payload=payload)
        part = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise StackTroubleError(
                f"sweep_artifacts failed: {part.get('errorMessage', part)} See its log. The files that it "
                "found are checked."
            )
        found["listed"] += part["listed"]
        found["queued"] += part["queued"]
        found["deleted"] += part["deleted"]
        found["still_live"] += part["still_live"]
        found["finished"] = part["finished"]
        if part["finished"]:
            return found
        say(f"{found['listed']} versions listed so far.")
    raise StackTroubleError("The drop bucket has more files than one run can list. Run `jetway sync` again.")
