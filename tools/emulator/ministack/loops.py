"""Lambda's loop detection through SQS in MiniStack 1.5.33, which follows direct invocations only.

SQS keeps the trace header that the SDK sends from within a function; Lambda counts on, and after 16 rounds does not
invoke a function whose RecursiveLoop is not Allow: the batch goes back to its queue, and is received again, until the
queue gives it up.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

from __future__ import annotations

import contextvars
import secrets
import time
from typing import Any

from ministack.services import cloudwatch, lambda_svc, sqs  # type: ignore[import-not-found]

from tools.emulator import lineage

_sent: contextvars.ContextVar[str] = contextvars.ContextVar("jetway_trace_header", default="")
_chain: contextvars.ContextVar[dict[str, int] | None] = contextvars.ContextVar("jetway_chain", default=None)
_handle_request, _build_send_sys_attrs = sqs.handle_request, sqs._build_send_sys_attrs
_trace_id = lambda_svc._xray_trace_id_for_invocation


async def _handle_and_keep_the_header(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
    _sent.set(headers.get("x-amzn-trace-id", ""))
    return await _handle_request(method, path, headers, *rest)


def _attributes_with_the_header(now: float, given: dict[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = _build_send_sys_attrs(now, given)
    if _sent.get():
        attributes.setdefault("AWSTraceHeader", _sent.get())
    return attributes


def _trace_id_with_the_chain(config: dict[str, Any], inbound: str | None = None) -> str | None:
    arn = config.get("FunctionArn", "")
    counts = lineage.with_one_more(_chain.get() or lineage.read([inbound or ""]), arn)
    root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    return lineage.header(counts, root=root, parent=secrets.token_hex(8))


def _run_unless_it_loops(esm: dict[str, Any], function: dict[str, Any], event: Any, batch: Any, *rest: Any) -> None:
    config = function.get("config") or function
    headers = [str((message.get("sys") or {}).get("AWSTraceHeader", "")) for message in batch]
    counts = lineage.read(headers)
    found = lambda_svc._functions.get(config["FunctionName"]) or {}
    if lineage.ends(counts, config["FunctionArn"]) and found.get("recursive_loop") != "Allow":
        esm["LastProcessingResult"] = "PROBLEM: RecursiveInvocationException"
        cloudwatch.record_metric(
            "AWS/Lambda", "RecursiveInvocationsDropped", 1, "Count", {"FunctionName": config["FunctionName"]}
        )
        return  # the messages come back when they are visible again
    token = _chain.set(counts)
    try:
        _run_sqs_batch(esm, function, event, batch, *rest)
    finally:
        _chain.reset(token)


_run_sqs_batch: Any = None


def install() -> None:
    """Put all this in force, outside what lambda_svc does by then."""
    global _run_sqs_batch  # noqa: PLW0603 - what others have put in force before
    _run_sqs_batch = lambda_svc._run_sqs_batch
    lambda_svc._run_sqs_batch = _run_unless_it_loops
    lambda_svc._xray_trace_id_for_invocation = _trace_id_with_the_chain
    sqs.handle_request, sqs._build_send_sys_attrs = _handle_and_keep_the_header, _attributes_with_the_header
