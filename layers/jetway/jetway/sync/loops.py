"""What keeps a trigger from ending, as far as it takes the stack's own names to tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jetway.artifacts.findings import Finding
from jetway.triggers.file import S3, BusEvent
from jetway.triggers.loops import ITSELF, own_files, starts_itself
from jetway.triggers.rules import event_pattern

if TYPE_CHECKING:
    from jetway.sync.run import Settings
    from jetway.triggers.file import TriggerFile


def loop_findings(trigger: TriggerFile, settings: Settings) -> Iterator[Finding]:
    """Tell of a trigger that its own runs start, or the files that Jetway writes itself.

    That a file says so without the stack's names is told with the file.
    """
    source, document = trigger.on, trigger.document
    if isinstance(source, BusEvent) and not starts_itself(document, trigger.name):
        known = {"environment": settings.environment, "bus": settings.event_bus}
        if starts_itself(document, trigger.name, **known):
            yield Finding("starts-itself", "warning", *_sentence(ITSELF))
    if isinstance(source, S3) or (isinstance(source, BusEvent) and source.bus == "default"):
        yield from own_files(
            event_pattern(source),
            trigger.name,
            batched=trigger.batch is not None,
            bucket=settings.bucket,
            live=settings.environment_bucket,
        )


def _sentence(what: tuple[str, str]) -> tuple[str, None, str]:
    message, remedy = what
    return f"{message[0].upper()}{message[1:]}", None, remedy
