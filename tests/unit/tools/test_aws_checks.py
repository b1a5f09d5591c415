"""What is refused before a deployment: stacks, Regions, environments and sams that cannot take it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.unit.sample_events import ROOT
from tests.unit.tools.test_aws_deploy import mwaa
from tools.aws.aws_checks import (
    LEAST_SAM,
    WHOLE,
    AwsDeployError,
    check_architecture,
    check_network,
    check_sam,
    check_services,
    check_stack,
)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("ROLLBACK_COMPLETE", "delete-stack"),
        ("CREATE_FAILED", "delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", "wait for the end"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "wait for the end"),
    ],
)
def test_a_stack_that_takes_no_deployment_says_what_it_takes_first(status: str, told: str) -> None:
    with pytest.raises(AwsDeployError, match=f"stack jetway is {status}: .*{told}"):
        check_stack("jetway", status)


@pytest.mark.parametrize("status", [*sorted(WHOLE), "REVIEW_IN_PROGRESS"])
def test_a_stack_that_takes_a_deployment_is_deployed_over(status: str) -> None:
    check_stack("jetway", status)


PRIVATE = {
    "Name": "analytics",
    "WebserverAccessMode": "PRIVATE_ONLY",
    "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
}


def test_a_private_environment_without_subnets_is_refused_before_anything_is_built() -> None:
    given = {"EnvironmentName": "analytics"}
    with pytest.raises(AwsDeployError, match="SubnetIds=subnet-1,subnet-2 SecurityGroupIds=sg-1"):
        check_network(mwaa(facts=PRIVATE), given)
    check_network(mwaa(facts=PRIVATE), {**given, "SubnetIds": "subnet-1"})
    check_network(mwaa(facts={"Name": "analytics", "WebserverAccessMode": "PUBLIC_ONLY"}), given)


def test_an_environment_that_is_gone_is_refused_before_anything_is_built() -> None:
    with pytest.raises(AwsDeployError, match=r"eu-central-1 has no environment 'x'; it has a\."):
        check_network(mwaa("a", lists=False), {"EnvironmentName": "x"})


class Session:
    """A boto3 session in a Region where some services have no address."""

    region_name = "xx-north-1"

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def client(self, service: str, config: Any) -> Any:
        client = boto3.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")  # type: ignore[call-overload]

        def answer(**_: Any) -> Any:
            if service in self.missing:
                raise EndpointConnectionError(endpoint_url=f"https://{service}.{self.region_name}.amazonaws.com")
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "x")  # it is there

        client.meta.events.register("before-call", answer)
        return client


def test_a_region_that_lacks_a_service_is_refused_before_anything_is_built() -> None:
    check_services(Session())  # type: ignore[arg-type]
    with pytest.raises(AwsDeployError, match=r"xx-north-1: no answer from mwaa, scheduler\. Is that the right Region"):
        check_services(Session("mwaa", "scheduler"))  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["SAM CLI, version 1.125.0\n", "SAM CLI, version 0.53.0", "", "bash: sam: not found"])
def test_an_old_sam_is_refused_before_anything_is_built(said: str) -> None:
    with pytest.raises(AwsDeployError, match=r"needs sam 1\.130\.0 or newer; yours says '.*Update it"):
        check_sam(said)


@pytest.mark.parametrize("said", ["SAM CLI, version 1.130.0", "SAM CLI, version 1.170.0\n", "SAM CLI, version 2.0.0"])
def test_a_sam_that_knows_the_template_is_taken(said: str) -> None:
    check_sam(said)


def test_the_pinned_sam_and_the_page_are_as_new_as_the_least() -> None:
    (pinned,) = re.findall(r"^aws-sam-cli==(\S+)", (ROOT / "requirements" / "sam.txt").read_text(), re.MULTILINE)
    check_sam(pinned)
    assert f"sam {'.'.join(map(str, LEAST_SAM))} or newer" in (ROOT / "docs" / "environments.md").read_text()


@pytest.mark.parametrize("what", ["environment", "jetway"])
def test_make_deploy_asks_a_sam_of_ones_own_how_old_it_is(tmp_path: Path, what: str) -> None:
    sam = tmp_path / "sam"
    sam.write_text("#!/bin/sh\necho SAM CLI, version 1.100.0\n")
    sam.chmod(0o755)
    for own, told in ((sam, "yours says 'SAM CLI, version 1.100.0'"), (tmp_path / "none", "cannot be run")):
        done = subprocess.run(
            [sys.executable, "-m", "tools.aws.aws_deploy", what],
            cwd=ROOT,
            env={**os.environ, "SAM": str(own)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert told in done.stderr


class Prices:
    """A boto3 session of a Region, whose price list has products of some groups, or says no."""

    region_name = "xx-north-1"

    def __init__(self, *groups: str) -> None:
        self.groups = groups
        self.asked: list[Any] = []

    def client(self, service: str, region_name: str, config: Any) -> Any:
        assert (service, region_name) == ("pricing", "us-east-1")
        client: Any = boto3.client(
            "pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x", config=config
        )

        def answer(params: Any, **_: Any) -> Any:
            self.asked.append(json.loads(params["body"]))
            if "denied" in self.groups:
                raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetProducts")
            products = [json.dumps({"product": {"attributes": {"group": group}}}) for group in self.groups]
            return type("Response", (), {"status_code": 200})(), {"PriceList": products}

        client.meta.events.register("before-call", answer)
        return client


X86, ARM = "AWS-Lambda-Duration", "AWS-Lambda-Duration-ARM"


def test_a_region_without_arm64_is_refused_before_anything_is_built() -> None:
    prices = Prices("AWS-Lambda-Requests", X86)
    with pytest.raises(AwsDeployError, match=r"xx-north-1: AWS's price list has no Lambda on arm64 there.*=x86_64"):
        check_architecture(prices, None)  # type: ignore[arg-type]
    assert prices.asked[0]["Filters"] == [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": "xx-north-1"}]


@pytest.mark.parametrize("groups", [(X86, ARM), (), ("denied",)])
def test_a_region_with_arm64_or_of_which_nothing_is_known_is_deployed_to(groups: tuple[str, ...]) -> None:
    check_architecture(Prices(*groups), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["x86_64", "arm64"])
def test_whoever_says_the_architecture_knows(said: str) -> None:
    prices = Prices(X86)
    check_architecture(prices, said)  # type: ignore[arg-type]
    assert prices.asked == []
