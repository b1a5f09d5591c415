"""What collect_batch is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jetway.batches.closing import Finisher
from jetway.batches.collector import Collector
from jetway.batches.hands import Hands
from jetway.batches.intake import Intake
from jetway.batches.table import BatchTable
from jetway.observability import metrics
from jetway.wiring.airflow import is_cli
from jetway.wiring.clients import MANIFEST, client
from jetway.wiring.parts import LedgerConfig, ledger_of
from jetway.wiring.variables import FromEnv, longest_chain, part, variable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Config(FromEnv):
    """Configuration of collect_batch."""

    environment_name: str = variable("ENVIRONMENT_NAME")
    batch_table: str = variable("BATCH_TABLE")
    drop_bucket: str = variable("DROP_BUCKET")
    collect_queue_url: str = variable("COLLECT_QUEUE_URL")
    dispatch_queue_url: str = variable("DISPATCH_QUEUE_URL")
    dead_letters_url: str = variable("DEAD_LETTERS_URL")
    one_bulk_lane: bool = variable("TRANSPORT", is_cli)
    longest_chain: int = variable("MAX_CHAINED_RUNS", longest_chain)
    ledger: LedgerConfig = part(LedgerConfig.from_env)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of collect_batch."""

    config: Config
    sqs: SQSClient
    collector: Collector
    intake: Intake


@cache
def wired() -> Parts:
    """Return the parts. Nothing is sent before the first delivery."""
    config = Config.from_env()
    metrics.set_default_dimensions(Environment=config.environment_name)
    sqs, s3 = client("sqs"), client("s3", MANIFEST)
    batches = BatchTable(client("dynamodb"), config.batch_table)
    finisher = Finisher(
        batches,
        s3,
        sqs,
        bucket=config.drop_bucket,
        dispatch_url=config.dispatch_queue_url,
        one_bulk_lane=config.one_bulk_lane,
    )
    collector = Collector(batches, finisher, sqs, collect_url=config.collect_queue_url)
    hands = Hands(client("dynamodb"), config.batch_table)
    intake = Intake(
        collector,
        sqs,
        ledger_of(config.ledger),
        dead_letters_url=config.dead_letters_url,
        hands=hands,
        longest_chain=config.longest_chain,
    )
    return Parts(config, sqs, collector, intake)
