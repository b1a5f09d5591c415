"""moto's CopyObject, with the conditions that S3 has and moto 5 passes over: If-Match and If-None-Match."""

from __future__ import annotations

from typing import Any

import moto.backends
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

ACCOUNT = "123456789012"  # moto's own


def strict(s3: Any) -> Any:
    """Have a client of moto's S3 refuse copies as S3 does, and return it."""
    s3.meta.events.register("before-call.s3.CopyObject", _refuse, unique_id="strict-copies")
    return s3


def _refuse(params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
    headers, wanted = params["headers"], params["context"]["input_params"]
    there = moto.backends.get_backend("s3")[ACCOUNT]["aws"].get_object(wanted["Bucket"], wanted["Key"])
    if headers.get("If-None-Match") == "*" and there is not None:
        return _answer(412, "PreconditionFailed")
    if "If-Match" in headers and there is None:
        return _answer(404, "NoSuchKey")
    if "If-Match" in headers and there is not None and headers["If-Match"] != there.etag:
        return _answer(412, "PreconditionFailed")
    return None


def _answer(status: int, code: str) -> tuple[AWSResponse, dict[str, Any]]:
    parsed = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return AWSResponse("", status, HTTPHeaders(), None), parsed
