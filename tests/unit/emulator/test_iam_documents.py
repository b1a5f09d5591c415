"""IAM's own rules for policy documents, which no emulator and no linter of CloudFormation asks."""

from __future__ import annotations

from typing import Any

import pytest

from tools.checks.rendered import WHOLE, Rendered
from tools.emulator import iam_documents
from tools.venvs import ROOT

ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}
TRUST: dict[str, Any] = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"Service": "lambda.amazonaws.com"},
}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def test_the_sids_that_the_template_once_had_twice_are_refused() -> None:
    sids = ["EventsOut", "TellPeople", "OurKey", "EventsOut", "TellPeople"]
    said = iam_documents.malformed(document(*({**ALLOW, "Sid": sid} for sid in sids)))
    assert said is not None
    assert said.startswith("Statement IDs (SID) in a single policy must be unique.")
    assert "EventsOut, TellPeople" in said


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"Sid": "not plain"}, "identity", "alpha-numeric"),
        ({"Effect": "allow"}, "identity", "Effect"),
        ({"Action": "GetObject"}, "identity", "vendor"),
        ({"Action": []}, "identity", "vendor"),
        ({"Resource": "bucket/*"}, "identity", "legacy parsing"),
        ({"Resource": []}, "identity", "must contain resources"),
        ({"Principal": "*"}, "identity", "should not specify a principal"),
        ({"Conditions": {}}, "identity", "unknown elements: Conditions"),
        ({}, "resource", "must specify a principal"),
    ],
)
def test_what_iam_refuses(changed: dict[str, Any], kind: iam_documents.Kind, said: str) -> None:
    assert iam_documents.malformed(document(ALLOW)) is None
    assert said in str(iam_documents.malformed(document({**ALLOW, **changed}), kind))


def test_a_trust_policy_names_who_is_trusted_and_no_resource() -> None:
    assert iam_documents.malformed(document(TRUST), "trust") is None
    assert "prohibited field Resource" in str(iam_documents.malformed(document({**TRUST, "Resource": "*"}), "trust"))
    unnamed = {name: value for name, value in TRUST.items() if name != "Principal"}
    assert "specify a principal" in str(iam_documents.malformed(document(unnamed), "trust"))


def test_all_inline_policies_of_a_role_count_together() -> None:
    half = document({**ALLOW, "Resource": "arn:aws:s3:::" + "x" * 5_000})
    assert iam_documents.too_large([half, half], iam_documents.INLINE, "role x") is None
    assert "Maximum policy size of 10240 bytes exceeded for role x" in str(
        iam_documents.too_large([half, half, half], iam_documents.INLINE, "role x")
    )


def test_whitespace_does_not_count() -> None:
    assert iam_documents.size({"Sid": "a b", "x": ["  "]}) == len('{"Sid":"ab","x":[""]}')


@pytest.mark.parametrize("name", WHOLE)
def test_every_document_of_the_templates_is_as_iam_wants_it(name: str) -> None:
    for parameters in ({}, WHOLE[name]):
        for resource, where, found in Rendered(ROOT / name, parameters).documents():
            kind: iam_documents.Kind = "trust" if where == "AssumeRolePolicyDocument" else "identity"
            if kind == "identity" and any("Principal" in statement for statement in found["Statement"]):
                kind = "resource"
            assert iam_documents.malformed(found, kind) is None, (resource, where)
