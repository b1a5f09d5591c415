"""The version before beside this one: which commit it is, a checkout of it, and what an update from it would replace.

before = previous()                            the newest tag v* before HEAD, else tools/release/previous-release
tree = check_out(before, HOME / "upgrade")     its files, with the virtual environments of this checkout
losses(tree, ROOT)                             what CloudFormation would replace or delete of what holds data
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from tools.checks.rendered import REGION, transformed
from tools.venvs import HOME, ROOT

PREVIOUS = "tools/release/previous-release"

# What holds data: an update that replaces one of these loses it, or leaves it where nobody looks.
KEEPERS = ("AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key")
# "Cannot perform more than one GSI creation or deletion in a single update"
_MOST_INDEX_CHANGES = 1


class UpgradeError(RuntimeError):
    """There is no version before, or git cannot give its files; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Previous:
    """The version before.

    Attributes:
        name: its tag, or its version.
        commit: 40 hex digits.
    """

    name: str
    commit: str


def previous(root: Path = ROOT) -> Previous:
    """Return the version before: the newest tag `v*` before HEAD, else what tools/release/previous-release names.

    HEAD itself is never it: a release is tested before it has its tag, or while it has it already.

    Raises:
        UpgradeError: neither is there, or git does not have the commit.
    """
    tag = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^", check=False)
    if tag:
        return Previous(tag, _git(root, "rev-parse", f"{tag}^{{commit}}"))
    lines = [line.split() for line in (root / PREVIOUS).read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    name, commit = lines[0]
    if _git(root, "cat-file", "-t", commit, check=False) != "commit":
        raise UpgradeError(
            f"git does not have commit {commit} of {PREVIOUS}. In a shallow clone: git fetch --unshallow."
        )
    return Previous(name, commit)


def check_out(version: Previous, folder: Path, *, root: Path = ROOT) -> Path:
    """Write the files of a version into a folder of their own, and return it.

    A virtual environment whose list is the same in both versions is shared; the build makes the others anew, there.
    """
    tree = folder / version.commit[:12]
    if not (tree / "template.yaml").exists():
        shutil.rmtree(tree, ignore_errors=True)
        draft = folder / f"{version.commit[:12]}.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        archive = folder / "files.tar"
        _git(root, "archive", "--format=tar", "-o", str(archive), version.commit)
        with tarfile.open(archive) as files:
            files.extractall(draft, filter="data")
        archive.unlink()
        draft.rename(tree)
    environments = tree / ".jetway" / "venvs"
    environments.mkdir(parents=True, exist_ok=True)
    for name in _same_lists(tree, root):
        if not (environments / name).exists():
            (environments / name).symlink_to(HOME / "venvs" / name)
    return tree


def _same_lists(tree: Path, root: Path) -> Iterator[str]:
    for mine in sorted((root / "requirements").glob("*.txt")):
        theirs = tree / "requirements" / mine.name
        if theirs.exists() and theirs.read_bytes() == mine.read_bytes() and (HOME / "venvs" / mine.stem).exists():
            yield mine.stem


def losses(before: Path, after: Path) -> list[str]:
    """Return what an update of a stack would replace or delete of what holds data, a sentence each.

    Args:
        before: the checkout that the stack is of.
        after: the checkout that is deployed over it.
    """
    templates = (transformed(tree / "template.yaml") for tree in (before, after))
    return [*_losses(*(template["Resources"] for template in templates))]


def _losses(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name, old in before.items():
        kind = old["Type"]
        if kind not in KEEPERS:
            continue
        new = after.get(name)
        if new is None or new["Type"] != kind:
            yield f"{name} ({kind}) is deleted."
            continue
        olds, news = old.get("Properties", {}), new.get("Properties", {})
        for path in _replacing(kind):
            if (was := _at(olds, path)) != (now := _at(news, path)):
                yield f"{name} ({kind}) is replaced: {'.'.join(path)} was {was!r} and is {now!r}."
        changed = _indexes(olds) ^ _indexes(news)
        if len(changed) > _MOST_INDEX_CHANGES:
            yield f"{name} ({kind}) changes {len(changed)} indexes; DynamoDB takes one in an update."


def _replacing(kind: str) -> Sequence[tuple[str, ...]]:
    """The properties whose change replaces a resource, or may, by the resource's own schema."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    pointers = [*schema.get("createOnlyProperties", ()), *schema.get("conditionalCreateOnlyProperties", ())]
    return [tuple(pointer.removeprefix("/properties/").split("/")) for pointer in pointers]


def _at(node: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _indexes(properties: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Name and definition of the global secondary indexes: one that is changed is deleted and made."""
    return {(index["IndexName"], repr(index)) for index in properties.get("GlobalSecondaryIndexes", ())}


def changes(cloudformation: Any, stack: str) -> list[dict[str, Any]]:
    """Return the resource changes of the newest change set of a stack.

    Args:
        cloudformation: a client.
        stack: its name.
    """
    pages = cloudformation.get_paginator("list_change_sets").paginate(StackName=stack)
    newest = max((one for page in pages for one in page["Summaries"]), key=lambda one: one["CreationTime"])
    found = cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=newest["ChangeSetId"])
    return [change["ResourceChange"] for page in found for change in page["Changes"]]


def kept(cloudformation: Any, stack: str) -> dict[str, str]:
    """Return the physical ids of what holds data in a stack, by logical id."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    found = [one for page in pages for one in page["StackResourceSummaries"]]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one["ResourceType"] in KEEPERS}


def _git(root: Path, *arguments: str, check: bool = True) -> str:
    # Variables such as GIT_DIR, which a git hook sets, would lead elsewhere.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, env=env)
    if done.returncode and check:
        raise UpgradeError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return "" if done.returncode else done.stdout.strip()
