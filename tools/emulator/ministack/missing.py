"""S3 says that an object is not there only to who may list the bucket; MiniStack 1.5.33 says it to everybody.

Without s3:ListBucket it answers 403 AccessDenied instead of 404; for a version it is s3:ListBucketVersions.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.core import iam_evaluator  # type: ignore[import-not-found]
from ministack.services import s3  # type: ignore[import-not-found]

from tools.emulator.ministack import iam as ministack_iam

_handle_request = s3.handle_request


async def _handle_and_hide(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], **more: Any
) -> Any:
    answer = await _handle_request(method, path, headers, body, query, **more)
    bucket, _, key = path.lstrip("/").partition("/")
    caller = app.extract_access_key_id(headers, query)
    if answer[0] != 404 or method not in {"GET", "HEAD"} or not key or iam_evaluator.is_root_access_key(caller):
        return answer
    action = "s3:ListBucketVersions" if "versionId" in query else "s3:ListBucket"
    region = app.extract_region(headers, query)
    context = {**ministack_iam.session_keys(caller, region), "aws:viaawsservice": "false"}
    call = ministack_iam.Call(caller, action, "s3", region, f"arn:aws:s3:::{bucket}", context)
    if s3._bucket_owner_account(bucket) is None or ministack_iam.ask(call) is None:
        return answer
    return s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{key}")


def install() -> None:
    """Put this in force."""
    s3.handle_request = _handle_and_hide
