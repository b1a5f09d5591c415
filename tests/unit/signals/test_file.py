"""What every place shows of a dropped file: rejected, live, rolled back, superseded, waiting for an update, removed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from tests.unit.artifacts.buckets import BAD, DROP, GOOD, LIVE
from tests.unit.mwaa_server import MwaaServer
from tests.unit.promotion.world import World as Live
from tests.unit.signals.airflow import Environment
from tests.unit.signals.table import shows
from tests.unit.signals.world import World

DAG, REQUIREMENTS = "dags/orders.py", "requirements.txt"
PINNED = b"--constraint /usr/local/airflow/constraints.txt\nhumanize==4.9.0\n"
NO_VARIABLE = (
    'Traceback (most recent call last):\n  File "/usr/local/airflow/dags/orders.py", line 3, in <module>\n'
    "KeyError: 'Variable region does not exist'\n"
)
NEWER_THAN_HERE = b"type Order = int\n"  # Python 3.12, which the environment has


class Files:
    """Both buckets with gate, verifier and updates, whose clock is moved by hand; and the places that speak of them."""

    def __init__(self, live: Live, world: World, folder: Path) -> None:
        self.live, self.world, self.folder = live, world, folder

    def look(self, key: str = DAG, *places: str) -> dict[str, str]:
        told = [f"{news.event.detail_type} {news.subject or ''}" for news in self.live.news]
        seen = {
            "report": self.live.s3.get_object(Bucket=DROP, Key=f"reports/{key}/report.md")["Body"].read().decode(),
            "artifacts": self.world.ask("GET", "/artifacts"),
            "page": self.world.fates(),
            "out": "\n".join(told),
        }
        return {place: seen[place] for place in places or seen}

    def check(self, content: bytes) -> str:
        file = self.folder / "dags" / "orders.py"
        file.parent.mkdir()
        file.write_bytes(content)
        return self.world.jetway("check", str(file))


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, certificate: Path, tmp_path: Path) -> Iterator[Files]:
    environment = Environment(certificate)
    with mock_aws(), MwaaServer() as mwaa, environment.web:
        mwaa.cli_host = environment.web.host
        live = Live(moto=True)
        world = World(mwaa, environment, monkeypatch, drop_bucket=False)
        yield Files(live, world, tmp_path)
        world.close()


@shows("rejected", "check", "report", "artifacts", "page", "out")
def test_rejected(files: Files) -> dict[str, str]:
    files.live.drop(DAG, BAD)
    return {**files.look(), "check": files.check(BAD)}


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python can read it")
@shows("unsure", "check", "report", "artifacts", "page", "out")
def test_unknown(files: Files) -> dict[str, str]:
    files.live.drop(DAG, NEWER_THAN_HERE)
    return {**files.look(), "check": files.check(NEWER_THAN_HERE)}


@shows("live", "check", "report", "artifacts", "page", "out")
def test_live(files: Files) -> dict[str, str]:
    files.live.drop(DAG, GOOD)
    return {**files.look(), "check": files.check(GOOD)}


@shows("verified", "report", "artifacts", "page")
def test_verified(files: Files) -> dict[str, str]:
    files.live.verified(DAG, GOOD)
    return files.look(DAG, "report", "artifacts", "page")


@shows("rolledback", "report", "artifacts", "page", "out")
def test_rolled_back(files: Files) -> dict[str, str]:
    files.live.drop(DAG, GOOD)
    files.live.airflow.errors = {"orders.py": NO_VARIABLE}
    assert [found.outcome for found in files.live.minutes(3)] == ["rolled-back"]
    return files.look()


@shows("neverappeared", "report", "artifacts", "page", "out")
def test_never_appeared(files: Files) -> dict[str, str]:
    files.live.airflow.dags = {}
    files.live.drop(DAG, GOOD)
    assert [found.outcome for found in files.live.minutes(45)] == ["never-appeared"]
    return files.look()


@shows("byhand", "report", "artifacts", "page", "out")
def test_replaced_by_hand(files: Files) -> dict[str, str]:
    files.live.drop(DAG, GOOD)
    files.live.s3.put_object(Bucket=LIVE, Key=DAG, Body=GOOD + b"# by hand\n")
    files.live.minutes(3)
    return files.look()


@shows("superseded", "report", "artifacts", "out")
def test_superseded(files: Files) -> dict[str, str]:
    first = files.live.s3.put_object(Bucket=DROP, Key=DAG, Body=GOOD + b"# 1\n")["VersionId"]
    second = files.live.s3.put_object(Bucket=DROP, Key=DAG, Body=GOOD)["VersionId"]
    assert [settled.outcome for settled in files.live.settle(DAG, first)] == ["superseded"]
    files.live.settle(DAG, second)
    seen = files.look(DAG, "report", "artifacts", "out")
    assert second in seen["report"]
    return seen


@shows("vanished", "report", "artifacts", "page", "out")
def test_deleted_while_it_was_judged(files: Files) -> dict[str, str]:
    assert [settled.outcome for settled in files.live.vanish(DAG)] == ["vanished"]
    return files.look()


@shows("removed", "report", "artifacts", "page", "out")
def test_removed(files: Files) -> dict[str, str]:
    files.live.drop(DAG, GOOD)
    files.live.delete(DAG)
    return files.look()


@shows("pending", "report", "artifacts", "page", "out")
def test_waits_for_an_update(files: Files) -> dict[str, str]:
    files.live.drop(REQUIREMENTS, PINNED)
    return files.look(REQUIREMENTS)


@shows("underway", "report", "artifacts", "page")
def test_the_update_runs(files: Files) -> dict[str, str]:
    files.live.drop(REQUIREMENTS, PINNED)
    assert files.live.apply() == ["begun"]
    return files.look(REQUIREMENTS, "report", "artifacts", "page")


@shows("updated", "report", "artifacts", "page")
def test_the_update_has_brought_it(files: Files) -> dict[str, str]:
    files.live.drop(REQUIREMENTS, PINNED)
    assert files.live.apply() == ["begun"]
    files.live.mwaa.end()
    assert files.live.settle_update() == ["applied", "good"]
    return files.look(REQUIREMENTS, "report", "artifacts", "page")


@shows("overtaken", "report", "artifacts", "page", "out")
def test_somebody_else_has_put_another_one_in_force(files: Files) -> dict[str, str]:
    files.live.drop(REQUIREMENTS, PINNED)
    assert files.live.apply() == ["begun"]
    files.live.mwaa.end()
    assert files.live.settle_update() == ["applied", "good"]
    theirs = files.live.s3.put_object(Bucket=LIVE, Key=REQUIREMENTS, Body=PINNED + b"# theirs\n")["VersionId"]
    files.live.mwaa.described["RequirementsS3ObjectVersion"] = theirs
    files.live.apply()
    return files.look(REQUIREMENTS)


@shows("failedupdate", "report", "artifacts", "page", "out")
def test_the_update_failed(files: Files) -> dict[str, str]:
    files.live.drop(REQUIREMENTS, PINNED)
    assert files.live.apply() == ["begun"]
    files.live.mwaa.end(error="Requirements could not be installed in time.")
    assert files.live.settle_update() == ["failed"]
    return files.look(REQUIREMENTS)
