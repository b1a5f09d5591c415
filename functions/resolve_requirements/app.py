"""resolve_requirements: resolves requirements with uv, and says what they would bring.

Its role allows nothing: package names of somebody's file are looked up at an index, and what comes back is not ours.

    jetway.artifacts.requirements.uv_resolve.Question, as JSON, and {"known": ["name==version", …]}, not to be asked for
    → its Answer, as JSON, and {"contents": {"name": …}}, each of jetway.artifacts.requirements.contents.Contents
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway.artifacts.requirements.contents import as_json_within, known_contents
from jetway.artifacts.requirements.uv_resolve import ResolutionRequest, emptied, resolve
from jetway.artifacts.requirements.wheel_modules import contents_at

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SECONDS_FOR_UV = 40.0
SECONDS_FOR_CONTENTS = 10.0
# An answer may have 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_TOLD = 4 * 1024**2
MOST_KEPT = 200 * 1024**2  # bytes of uv's cache that stay for the next invocation; /tmp has 512 MiB


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Resolve; what uv cannot tell is an answer as well."""
    from uv import find_uv_bin

    given = dict(event)
    known = frozenset(given.pop("known", ()))
    home = emptied(Path(tempfile.gettempdir(), "uv-home"), MOST_KEPT)
    question = ResolutionRequest.parse(given)
    answer = resolve(question, find_uv_bin(), seconds=SECONDS_FOR_UV, home=home)
    wheels = {
        name: url
        for name, url in answer.wheels.items()
        if f"{name}=={answer.versions[name]}" not in known and known_contents(name, answer.versions[name]) is None
    }
    first = question.names() if wheels else ()
    contents = contents_at(wheels, seconds=SECONDS_FOR_CONTENTS, first=first, allowed=question.allowed)
    return asdict(answer) | {"built": list(answer.built), "contents": as_json_within(contents, MOST_TOLD)}
