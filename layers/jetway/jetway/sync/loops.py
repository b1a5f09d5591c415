"""What keeps a trigger from ending, as far as it takes the stack's own names to tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jetway.artifacts.findings import Finding
from jetway.triggers.file import S3, BusEvent
from jetway.triggers.loops import ITSELF, own_files, starts_itself
from jetway.triggers.resources import event_pattern

if TYPE_CHECKING:
    from jetway.triggers.file import TriggerFile


@dataclass(frozen=True, slots=True)
class StackNames:
    """What the stack has names of.

    Attributes:
        environment: the MWAA environment.
        drop: the drop bucket.
        live: the environment's bucket; None: nothing is said of it.
        bus: that Jetway's own events go to.
    """

    environment: str
    drop: str
    live: str | None
    bus: str


def loop_findings(trigger: TriggerFile, names: StackNames) -> Iterator[Finding]:
    """Tell of a trigger that its own runs start, or the files that Jetway writes itself.

    That a file says so without the stack's names is told with the file.
    """
    source, document = trigger.on, trigger.document
    is_told = starts_itself(document, trigger.name)
    if not is_told and starts_itself(document, trigger.name, environment=names.environment, bus=names.bus):
        yield Finding("starts-itself", "warning", *_sentence(ITSELF))
    if isinstance(source, S3) or (isinstance(source, BusEvent) and source.bus == "default"):
        yield from own_files(
            event_pattern(source),
            trigger.name,
            batched=trigger.batch is not None,
            bucket=names.drop,
            live=names.live,
        )


def _sentence(what: tuple[str, str]) -> tuple[str, None, str]:
    message, remedy = what
    return f"{message[0].upper()}{message[1:]}", None, remedy
