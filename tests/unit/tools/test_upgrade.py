"""Which version is the one before, and what an update from it would lose."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.checks.rendered import transformed
from tools.release import upgrade
from tools.release.upgrade import KEEPERS, Previous, UpgradeError, check_out, losses, previous
from tools.venvs import ROOT

BEFORE = transformed(ROOT / "template.yaml")["Resources"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits; the first one is named in the file."""
    folder = tmp_path / "repository"
    (folder / "tools/release").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "template.yaml").write_text("first")
    commit(folder)
    first = git(folder, "rev-parse", "HEAD")
    (folder / "template.yaml").write_text("second")
    (folder / "tools/release/previous-release").write_text(f"# The version before.\n0.0.9 {first}\n")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    who = [
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.com",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "tag.gpgsign=false",
    ]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "more")


def test_without_a_tag_it_is_the_commit_that_the_file_names(repository: Path) -> None:
    assert previous(repository) == Previous("0.0.9", git(repository, "rev-parse", "HEAD^"))


def test_a_tag_before_head_counts_more_and_that_of_head_does_not(repository: Path) -> None:
    git(repository, "tag", "v1.0.0")
    git(repository, "tag", "nightly", "HEAD^")
    assert previous(repository).name == "0.0.9"
    (repository / "template.yaml").write_text("third")
    commit(repository)
    assert previous(repository) == Previous("v1.0.0", git(repository, "rev-parse", "HEAD^"))


def test_an_annotated_tag_means_its_commit(repository: Path) -> None:
    git(repository, "tag", "--annotate", "--message", "x", "v0.1.0", "HEAD^")
    assert previous(repository) == Previous("v0.1.0", git(repository, "rev-parse", "HEAD^"))


def test_a_shallow_clone_is_told_so(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", "shallow")
    with pytest.raises(UpgradeError, match="git fetch --unshallow"):
        previous(tmp_path / "shallow")


def test_the_files_of_the_version_before_are_written_once(repository: Path, tmp_path: Path) -> None:
    before = previous(repository)
    tree = check_out(before, tmp_path / "upgrade", root=repository)
    assert (tree / "template.yaml").read_text() == "first"
    (tree / "made").touch()
    assert check_out(before, tmp_path / "upgrade", root=repository) == tree
    assert (tree / "made").exists()
    assert git(repository, "status", "--porcelain") == ""


def test_the_named_version_before_is_in_this_repository_or_a_tag_is() -> None:
    line = (ROOT / upgrade.PREVIOUS).read_text().splitlines()[-1]
    name, commit_of_it = line.split()
    assert (ROOT / "tests" / "data" / "formats" / f"{name}.json").exists()
    assert len(commit_of_it) == 40


def test_nothing_is_lost_of_the_same() -> None:
    assert losses(ROOT, ROOT) == []
    assert {resource["Type"] for resource in BEFORE.values()} >= set(KEEPERS)


def rename(name: str, **properties: Any) -> Callable[[dict[str, Any]], object]:
    return lambda after: after[name]["Properties"].update(properties)


def retype(after: dict[str, Any]) -> None:
    after["LedgerTable"]["Type"] = "AWS::DynamoDB::GlobalTable"


def reindex(after: dict[str, Any]) -> None:
    for index in after["LedgerTable"]["Properties"]["GlobalSecondaryIndexes"][:2]:
        index["IndexName"] += "_2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda after: after.pop("WaitingQueue"), "WaitingQueue (AWS::SQS::Queue) is deleted."),
        (retype, "LedgerTable (AWS::DynamoDB::Table) is deleted."),
        (rename("DispatchQueue", QueueName="x.fifo"), "DispatchQueue (AWS::SQS::Queue) is replaced: QueueName was"),
        (rename("DispatchQueue", FifoQueue=False), "DispatchQueue (AWS::SQS::Queue) is replaced: FifoQueue was True"),
        (rename("DropBucket", BucketName="x"), "DropBucket (AWS::S3::Bucket) is replaced: BucketName was"),
        (rename("BatchTable", TableName="x"), "BatchTable (AWS::DynamoDB::Table) is replaced: TableName was"),
        (rename("BatchTable", KeySchema=[]), "BatchTable (AWS::DynamoDB::Table) is replaced: KeySchema was"),
        (reindex, "LedgerTable (AWS::DynamoDB::Table) changes 4 indexes; DynamoDB takes one in an update."),
    ],
)
def test_what_would_be_lost_is_said(change: Callable[[dict[str, Any]], object], said: str) -> None:
    after = copy.deepcopy(BEFORE)
    change(after)
    (found,) = upgrade._losses(BEFORE, after)
    assert found.startswith(said)


@pytest.mark.parametrize(
    "change",
    [
        rename("DispatchQueue", VisibilityTimeout=1),
        rename("LedgerTable", BillingMode="PROVISIONED"),
        rename("Key", Description="x"),
        lambda after: after.update({"Another": {"Type": "AWS::SQS::Queue"}}),
        lambda after: after.pop("StartDagRun"),
    ],
)
def test_what_changes_in_place_is_not(change: Callable[[dict[str, Any]], object]) -> None:
    after = copy.deepcopy(BEFORE)
    change(after)
    assert [*upgrade._losses(BEFORE, after)] == []
