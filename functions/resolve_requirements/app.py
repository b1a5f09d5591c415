"""resolve_requirements: resolves requirements with uv, and says which modules they would bring.

Its role allows nothing: package names of somebody's file are looked up at an index, and what comes back is not ours.

    jetway.artifacts.resolving.Question, as JSON, and {"known": ["name", …]}, whose modules are not asked for
    → jetway.artifacts.resolving.Answer, as JSON, and {"modules": {"name": ["module", …]}}
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetway.artifacts.resolving import Question, emptied, resolve
from jetway.artifacts.wheel_modules import modules_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SECONDS_FOR_UV = 40.0
SECONDS_FOR_MODULES = 10.0
MOST_KEPT = 200 * 1024**2  # bytes of uv's cache that stay for the next invocation; /tmp has 512 MiB


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Resolve; what uv cannot tell is an answer as well."""
    from uv import find_uv_bin

    given = dict(event)
    known = frozenset(given.pop("known", ()))
    home = emptied(Path(tempfile.gettempdir(), "uv-home"), MOST_KEPT)
    answer = resolve(Question.parse(given), find_uv_bin(), seconds=SECONDS_FOR_UV, home=home)
    wheels = {name: url for name, url in answer.wheels.items() if name not in known}
    return asdict(answer) | {"modules": modules_of(wheels, seconds=SECONDS_FOR_MODULES)}
