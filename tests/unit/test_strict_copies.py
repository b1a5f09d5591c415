"""Copies on moto are refused as S3 refuses them: else races of gate and verifier pass unseen."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.unit.artifacts.buckets import SESSION
from tests.unit.strict_copies import strict

COPY: dict[str, Any] = {"Bucket": "here", "CopySource": {"Bucket": "here", "Key": "source"}}


def test_a_copy_goes_ahead_only_if_its_condition_holds() -> None:
    with mock_aws():
        s3 = strict(SESSION.client("s3"))
        s3.create_bucket(Bucket="here")
        s3.put_object(Bucket="here", Key="source", Body=b"1")
        etag = s3.put_object(Bucket="here", Key="a/key with spaces", Body=b"2")["ETag"]
        refusals = {
            "PreconditionFailed": [{"IfNoneMatch": "*"}, {"IfMatch": '"other"'}],
            "NoSuchKey": [{"IfMatch": etag, "Key": "nothing"}],
        }
        for code, conditions in refusals.items():
            for condition in conditions:
                with pytest.raises(ClientError) as caught:
                    s3.copy_object(**COPY | {"Key": "a/key with spaces"} | condition)
                assert caught.value.response["Error"]["Code"] == code
        assert s3.get_object(Bucket="here", Key="a/key with spaces")["Body"].read() == b"2"
        s3.copy_object(**COPY, Key="a/key with spaces", IfMatch=etag)
        s3.copy_object(**COPY, Key="new", IfNoneMatch="*")
        assert s3.get_object(Bucket="here", Key="a/key with spaces")["Body"].read() == b"1"
