"""Another program of the local stack asks whether the caller of a request may do what it asks for.

The MWAA gateway is a program of its own; keys and policies of its callers are in MiniStack.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack import app  # type: ignore[import-not-found]
from ministack.core import iam_actions, iam_evaluator, responses  # type: ignore[import-not-found]

from tools.emulator.ministack import iam as ministack_iam

PATH = "/_jetway/authorize"
_app = app.app


def authorize(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Decide a request that another program got, signature included.

    Args:
        asked: `request` with method, path, query, headers and body (base64); `region`; and `needs`, a list of needs,
            each a list of alternatives, each {"action", "on", "context"}.

    Returns:
        {} when of each need one alternative is allowed; else status, code and message of the first that has none.
    """
    request, region = asked["request"], asked["region"]
    headers, query = request["headers"], parse_qs(request["query"], keep_blank_values=True)
    key = app.extract_access_key_id(headers, query)
    if iam_evaluator.is_root_access_key(key):
        return {}
    responses.set_request_region(region)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    iam_evaluator.pin_signed_request(request["method"], request["path"], query, raw)
    iam_evaluator.pin_signed_body(base64.b64decode(request["body"]))
    session = ministack_iam.session_keys(key, region)
    for alternatives in asked["needs"]:
        refused: Any = None
        for each in alternatives:
            action, context = each["action"], {**session, **each["context"]}
            call = ministack_iam.Call(key, action, action.partition(":")[0], region, each["on"], context)
            refused = ministack_iam.ask(call, tell_denial=each is alternatives[-1])
            if refused is None:
                break
        if refused is not None:
            return _refusal(refused, call, headers)
    return {}


def _refusal(refused: Any, call: ministack_iam.Call, headers: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(refused, iam_evaluator.AuthError):
        code, status, said = iam_actions._auth_failure("airflow", refused.code, refused.message, headers)
        return {"status": status, "code": code, "message": said}
    explicit = refused.decision == "Deny"
    said = iam_actions.identity_denial_message(call.action, refused.principal_arn, call.on, explicit)
    return {"status": 403, "code": "AccessDeniedException", "message": said}


async def _with_authorizer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["path"] != PATH:
        await _app(scope, receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    answer = json.dumps(authorize(json.loads(body))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})


def install() -> None:
    """Answer at PATH."""
    app.app = _with_authorizer
