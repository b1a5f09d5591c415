"""People and systems that call the HTTP API: with keys of their own, or with a webhook's secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tools.emulator.ministack.service import ACCOUNT, REGION
from tools.stack.stack import Stack


def call_as(credentials: Credentials, url: str, method: str = "GET", body: object = None) -> requests.Response:
    """Call an address, signed with these credentials by botocore alone."""
    data = b"" if body is None else json.dumps(body).encode()
    request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json"})
    SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
    return requests.request(method, url, data=data, headers=dict(request.headers), timeout=40)


def may_call(stack: Stack) -> str:
    """The policy of whoever may call the HTTP API."""
    on = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{stack.http_api_id}/*"
    statement = {"Sid": "CallTheHttpApi", "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": on}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_user(stack: Stack, name: str) -> Credentials:
    """Make an IAM user that may call the HTTP API, and return a key of it."""
    iam = stack.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="call", PolicyDocument=may_call(stack))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def assume_role(stack: Stack, name: str, session: str) -> Credentials:
    """Make an IAM role that may call the HTTP API, and return keys of one session of it."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    iam: Any = stack.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=name, PolicyName="call", PolicyDocument=may_call(stack))
    sts = stack.client("sts")
    key = sts.assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName=session)["Credentials"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])


def send_webhook(stack: Stack, name: str, body: object, secret: str, event: str = "push") -> requests.Response:
    """Send a webhook as GitHub does."""
    content = json.dumps(body).encode()
    signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    return requests.post(f"{stack.http_api_url}/webhooks/{name}", data=content, headers=headers, timeout=40)
