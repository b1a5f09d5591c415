"""As `put_back`: functions, who calls them, and what they read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from jetway_cli.doctor.checks.given import as_json, differing

if TYPE_CHECKING:
    from jetway_cli.doctor.facts import PartSeen


def _permission(part: PartSeen) -> str:
    its = part.wanted
    return (
        f"aws lambda add-permission --function-name {its['FunctionName']} --statement-id {part.name} "
        f"--action {its['Action']} --principal {its['Principal']} --source-arn {shlex.quote(str(its['SourceArn']))}"
    )


def _invoke_config(part: PartSeen) -> str:
    names = ("FunctionName", "Qualifier", "MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    wanted = {name: part.wanted[name] for name in names if name in part.wanted}
    return f"aws lambda put-function-event-invoke-config --cli-input-json {as_json(wanted)}"


def _function(part: PartSeen) -> str:
    wanted = differing(part, _OF_FUNCTIONS)
    options = " ".join(
        f"--{option} {as_json(wanted[name]) if isinstance(wanted[name], Mapping) else wanted[name]}"
        for name, option in _OF_FUNCTIONS.items()
        if name in wanted
    )
    return f"aws lambda update-function-configuration --function-name {part.name} {options}"


_OF_FUNCTIONS = {
    "Timeout": "timeout",
    "MemorySize": "memory-size",
    "Handler": "handler",
    "Runtime": "runtime",
    "Role": "role",
    "VpcConfig": "vpc-config",
    "EphemeralStorage": "ephemeral-storage",
    "LoggingConfig": "logging-config",
}


def _layers(part: PartSeen) -> str:
    layers = " ".join(map(str, part.wanted.get("Layers", ())))
    return f"aws lambda update-function-configuration --function-name {part.name} --layers {layers}"


def _variables(part: PartSeen) -> str:
    return (
        f"Set the variables back to the values in template.yaml (Lambda console, function {part.name}, "
        "Configuration). Deploying the same template again does not change them."
    )


def _reserved(part: PartSeen) -> str:
    return f"Unless this is intended: aws lambda delete-function-concurrency --function-name {part.name}"


def _loop(part: PartSeen) -> str:
    wanted = part.wanted.get("RecursiveLoop", "Terminate")
    return f"aws lambda put-function-recursion-config --function-name {part.name} --recursive-loop {wanted}"


def _code(part: PartSeen) -> str:
    code = part.wanted.get("Uploaded") or {}
    where = f"--s3-bucket {code.get('S3Bucket')} --s3-key {code.get('S3Key')}"
    return f"aws lambda update-function-code --function-name {part.name} {where}"


def _architecture(part: PartSeen) -> str:
    return f"{_code(part)} --architectures {' '.join(part.wanted['Architectures'])}"


_OF_MAPPINGS = (
    "BatchSize",
    "FilterCriteria",
    "FunctionResponseTypes",
    "MaximumBatchingWindowInSeconds",
    "ScalingConfig",
)


def _mapping(part: PartSeen) -> str:
    """An empty mapping takes off what the template does not have."""
    wanted = {name: {} if value is None else value for name, value in differing(part, _OF_MAPPINGS).items()}
    return f"aws lambda update-event-source-mapping --cli-input-json {as_json({'UUID': part.name, **wanted})}"


def _function_url(part: PartSeen) -> str:
    return f"Unless this is intended: aws lambda delete-function-url-config --function-name {part.name}"


def _stranger_of_function(part: PartSeen) -> str:
    return (
        f"Unless this is intended, remove that statement: aws lambda get-policy --function-name {part.name} "
        f"shows its Sid; aws lambda remove-permission --function-name {part.name} --statement-id SID removes "
        "it."
    )


# By type and setting, as in `put_back`.
COMMANDS: Mapping[tuple[str, str], Callable[[PartSeen], str]] = {
    ("AWS::Lambda::EventInvokeConfig", ""): _invoke_config,
    ("AWS::Lambda::EventSourceMapping", ""): _mapping,
    ("AWS::Lambda::Function", ""): _function,
    ("AWS::Lambda::Function", "Architectures"): _architecture,
    ("AWS::Lambda::Function", "Code"): _code,
    ("AWS::Lambda::Function", "Environment"): _variables,
    ("AWS::Lambda::Function", "Layers"): _layers,
    ("AWS::Lambda::Function", "RecursiveLoop"): _loop,
    ("AWS::Lambda::Function", "ReservedConcurrentExecutions"): _reserved,
    ("AWS::Lambda::Function", "Strangers"): _stranger_of_function,
    ("AWS::Lambda::Function", "Urls"): _function_url,
}
ANEW: Mapping[str, Callable[[PartSeen], str]] = {"AWS::Lambda::Permission": _permission}
