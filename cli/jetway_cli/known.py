"""Names that exist, for a question about one that may be misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetway_cli.arguments import did_you_mean

if TYPE_CHECKING:
    from jetway_cli.stack import Target

MOST_SHOWN = 20


def question_trigger(target: Target, name: str) -> str | None:
    """Return what is to be said of a trigger that neither a file nor the stack has; None when it is there.

    Also None when the caller may not see which there are.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from jetway.errors import TransientError
    from jetway.sync import accepted
    from jetway.triggers.checks import RESERVED_NAMES
    from jetway_cli.errors import StackTroubleError

    try:
        files = accepted.load(target.client("s3"), target.output("DropBucketName")).triggers
    except (StackTroubleError, TransientError, ClientError, BotoCoreError):
        return None
    names = sorted({*RESERVED_NAMES, *(str(entry["name"]) for entry in files.values())})
    if name in names:
        return None
    near = did_you_mean(name, names)
    some = ", ".join(names[:MOST_SHOWN]) + (", …" if len(names) > MOST_SHOWN else "")
    return f"There is no trigger named {name!r} now.{near} Triggers: {some}."
