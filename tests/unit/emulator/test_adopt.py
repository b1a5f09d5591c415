"""What of template.yaml a deleted stack leaves, and can be imported again."""

from __future__ import annotations

import yaml

from tests.unit.template.source import RESOURCES
from tools.aws.adopt import import_template, left_behind
from tools.venvs import ROOT

TEXT = (ROOT / "template.yaml").read_text(encoding="utf-8")


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short functions as nothing."""


_Loader.add_multi_constructor("!", lambda *_: None)


def test_all_that_is_kept_is_imported_and_nothing_else() -> None:
    body, types, _ = import_template(TEXT)
    kept = {name for name, found in RESOURCES.items() if str(found.get("DeletionPolicy", "")).startswith("Retain")}
    assert types.keys() == kept == {"Key", "DropBucket", "ArtifactTable", "LedgerTable", "BatchTable"}
    assert yaml.load(body, _Loader)["Resources"].keys() == kept


def test_parameters_and_conditions_come_as_far_as_they_are_named() -> None:
    body, _, parameters = import_template(TEXT)
    document = yaml.load(body, _Loader)
    wanted = {"AccessLogBucketName", "KmsKeyArn", "ReportRetentionDays", "ManifestRetentionDays"}
    assert document["Parameters"].keys() == parameters == wanted
    assert document["Conditions"].keys() == {"UseOwnKey", "MakeKey", "UseAccessLog"}
    assert "Transform" not in document, "an import takes none"


def test_names_are_those_that_cloudformation_gives() -> None:
    names = {
        "AWS::S3::Bucket": ["prod-dropbucket-1x2", "prod2-dropbucket-1x2", "prod-other-1"],
        "AWS::DynamoDB::Table": ["Prod-LedgerTable-1X2", "Prod2-LedgerTable-1X2"],
    }
    types = {"DropBucket": "AWS::S3::Bucket", "LedgerTable": "AWS::DynamoDB::Table", "Key": "AWS::KMS::Key"}
    found = left_behind("Prod", types, names)
    assert found == {"DropBucket": ["prod-dropbucket-1x2"], "LedgerTable": ["Prod-LedgerTable-1X2"], "Key": []}
