"""Tables in moto, made from template.yaml itself, so that tests and deployment have the same keys and indexes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import yaml

from tests.unit.moto_clients import dynamodb
from tests.unit.sample_events import ROOT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


class _Loader(yaml.CSafeLoader):
    """Reads CloudFormation's short functions as plain values."""


def _any(loader: _Loader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node)


_Loader.add_multi_constructor("!", _any)


@functools.cache
def read_template() -> dict[str, Any]:
    """Return template.yaml with intrinsic functions as their arguments; it is shared, and not to be changed."""
    template: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)
    return template


def make_ledger_table() -> Table:
    """Make the ledger's table; moto must be active."""
    return make_table("LedgerTable", "ledger")


def make_table(resource: str, name: str) -> Table:
    """Make a table; moto must be active.

    Args:
        resource: the table's name in template.yaml.
        name: of the table that is made.
    """
    wanted = read_template()["Resources"][resource]["Properties"]
    names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    table: Table = dynamodb().create_table(TableName=name, **{name: wanted[name] for name in names if name in wanted})
    return table
