"""What the gate does with each kind of artifact that is dropped, and with what is none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from jetway.events.principals import CLAIM
from jetway.gate.s3_notification import Arrival
from tests.unit.artifacts.buckets import BAD, DROP, GOOD, LIVE, Buckets, buckets
from tests.unit.artifacts.zips import PLUGIN, zip_of

KEY = "dags/team/orders.py"


@pytest.mark.parametrize(
    ("key", "body", "rules"),
    [
        ("dags/empty.py", b"", ("empty-file",)),
        ("dags/__init__.py", b"", ()),
        ("dags/common.py", b"def f(): ...\n", ()),
        ("dags/sql/orders.sql", b"select 1", ()),
        ("dags/orders.yaml", b"{", ()),
        ("dags/.airflowignore", b"*", ()),
        ("dags/orders.pyc", b"\0", ()),
    ],
)
def test_what_dag_files_need_beside_them_goes_live_too(
    world: Buckets, key: str, body: bytes, rules: tuple[str, ...]
) -> None:
    (settled,) = world.settle(key, world.drop(key, body))
    assert (settled.outcome, settled.verdict, settled.rules) == ("promoted", "accepted", rules)
    assert world.live(key) == body


def test_a_zip_of_dag_files_is_read_from_the_bucket(world: Buckets) -> None:
    (settled,) = world.settle("dags/packed.zip", world.drop("dags/packed.zip", zip_of({"orders.py": GOOD})))
    assert (settled.outcome, settled.verdict, settled.dag_ids) == ("promoted", "accepted", ("orders",))
    (settled,) = world.settle("dags/packed.zip", world.drop("dags/packed.zip", zip_of({"orders.py": BAD})))
    assert (settled.outcome, settled.rules) == ("quarantined", ("syntax",))


def test_what_needs_an_update_of_the_environment_is_judged_and_copied(world: Buckets) -> None:
    for key, good, bad in (
        ("requirements.txt", b"pandas==3.0.5\n", b"celery==1.0\n"),
        ("plugins.zip", zip_of({"p.py": PLUGIN}), zip_of({"../p.py": PLUGIN})),
        ("startup.sh", b"export A=1\n", b"if true\n"),
    ):
        (settled,) = world.settle(key, world.drop(key, good))
        assert (settled.outcome, settled.verdict) == ("promoted", "accepted"), key
        (settled,) = world.settle(key, world.drop(key, bad))
        assert (settled.outcome, settled.verdict) == ("quarantined", "rejected"), key
        assert world.live(key) == good


def test_the_plugins_found_are_in_the_report(world: Buckets) -> None:
    world.settle("plugins.zip", world.drop("plugins.zip", zip_of({"views/p.py": PLUGIN})))
    assert world.report("plugins.zip")["plugins"] == [
        {"class_name": "Acme", "name": "acme", "path": "views/p.py", "line": 2}
    ]


def test_the_suffix_is_taken_as_airflow_3_takes_it(world: Buckets) -> None:
    assert world.outcomes("dags/ORDERS.PY", world.drop("dags/ORDERS.PY", BAD)) == ["quarantined"]


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("orders.py", "unknown-kind"),
        ("dag/orders.py", "unknown-kind"),
        ("DAGS/orders.py", "unknown-kind"),
        ("notes.txt", "unknown-kind"),
        ("plugins/plugins.zip", "unknown-kind"),
        ("plugins.zip", "not-a-zip"),
        ("dags/../plugins.zip", "unsafe-key"),
        ("dags//orders.py", "unsafe-key"),
        ("dags/./orders.py", "unsafe-key"),
        ("dags/../../etc/orders.py", "unsafe-key"),
    ],
)
def test_what_has_no_place_in_the_environment_is_quarantined_with_where_it_belongs(
    world: Buckets, key: str, rule: str
) -> None:
    (settled,) = world.settle(key, world.drop(key, b"x"))
    assert (settled.outcome, settled.rules) == ("quarantined", (rule,))
    assert world.keys(LIVE) == []
    (finding,) = world.report(key)["findings"]
    assert finding["remedy"]


OF_THE_ENVIRONMENT = {
    "RequirementsS3Path": "dags/requirements.txt",
    "PluginsS3Path": "dags/plugins.zip",
    "StartupScriptS3Path": "dags/team/startup.sh",
}


@pytest.fixture
def with_all_in_one_folder() -> Iterator[Buckets]:
    with buckets(facts=OF_THE_ENVIRONMENT) as found:
        yield found


def test_nothing_below_dags_takes_the_place_of_what_comes_by_an_update(with_all_in_one_folder: Buckets) -> None:
    world = with_all_in_one_folder
    for key, good in (("requirements.txt", b"pandas==3.0.5\n"), ("startup.sh", b"export A=1\n")):
        world.settle(key, world.drop(key, good))
    for place in OF_THE_ENVIRONMENT.values():
        before = world.live(place)
        (settled,) = world.settle(place, world.drop(place, b"evil"))
        assert (settled.outcome, settled.rules) == ("quarantined", ("taken-path",)), place
        world.s3.delete_object(Bucket=DROP, Key=place)
        assert world.outcomes(place) == ["vanished"], "its deletion takes out what is somebody else's as little"
        assert world.live(place) == before
    assert world.live("dags/requirements.txt") == b"pandas==3.0.5\n"
    assert world.outcomes("dags/team/other.sh", world.drop("dags/team/other.sh", b"x")) == ["promoted"]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("trigger/x.yaml", "Did you mean triggers/x.yaml?"),
        ("Data/orders/2026.csv", "Did you mean data/orders/2026.csv?"),
        ("dag/orders.py", "Did you mean dags/orders.py?"),
        ("Requirements.TXT", "Did you mean requirements.txt?"),
        ("acces.yaml", "Did you mean access.yaml?"),
        ("setup.sh", "Did you mean startup.sh?"),
        (
            "orders.csv",
            "A data file that starts a DAG belongs in data/<dag_id>/: upload it as data/<dag_id>/orders.csv.",
        ),
        ("in/orders.csv", "upload it as data/<dag_id>/orders.csv."),
    ],
)
def test_the_place_that_was_meant_is_named(world: Buckets, key: str, says: str) -> None:
    world.settle(key, world.drop(key, b"x"))
    (finding,) = world.report(key)["findings"]
    assert says in finding["remedy"]


def test_a_dag_file_at_the_wrong_place_is_told_the_right_one(world: Buckets) -> None:
    world.settle("team/orders.py", world.drop("team/orders.py", GOOD))
    assert "dags/orders.py" in world.report("team/orders.py")["findings"][0]["remedy"]


@pytest.mark.parametrize("key", ["reports/x.json", "quarantine/dags/x.py/1", "data/orders/a.csv", "dags/", "a/b/"])
def test_what_is_no_artifact_is_left_alone(world: Buckets, key: str) -> None:
    version = world.drop(key, b"")
    assert world.outcomes(key, version) == ["ignored"]
    assert world.keys(DROP) == [key]


def test_the_report_and_the_event_say_who_uploaded_and_who_deleted(world: Buckets) -> None:
    ann, bob = {"account": "111122223333", "request_id": "R1"}, {"account": "444455556666", "request_id": "R2"}
    version = world.drop("dags/a.py", GOOD, Metadata={CLAIM: "ann@example.com"})
    world.gate.settle(Arrival(DROP, "dags/a.py", version, by=ann))
    known = {**ann, "claimed": "ann@example.com"}
    assert world.report("dags/a.py")["by"] == known
    assert world.news[-1].event.detail["by"] == known
    assert "claims to be ann" in world.content(DROP, "reports/dags/a.py/report.md").decode()
    world.settle("dags/a.py", version)  # a message that tells nothing of it, as the sweep's
    assert world.report("dags/a.py")["by"] == known
    world.s3.delete_object(Bucket=DROP, Key="dags/a.py")
    world.gate.settle(Arrival(DROP, "dags/a.py", None, deleted=True, by=bob))
    report = world.report("dags/a.py")
    assert (report["by"], report["removed_by"], world.news[-1].event.detail["by"]) == (known, bob, bob)


def test_an_older_version_is_not_put_down_to_who_uploaded_the_newer(world: Buckets) -> None:
    older = world.drop("dags/a.py", GOOD)
    newer = world.drop("dags/a.py", BAD)
    world.gate.settle(Arrival(DROP, "dags/a.py", newer, by={"account": "111122223333"}))
    keys = [key for key in world.keys(DROP, "reports/dags/a.py/") if key.endswith(".json") and "latest" not in key]
    reports = [json.loads(world.content(DROP, key)) for key in keys]
    assert {report["source"]["version"]: report.get("by") for report in reports} == {
        newer: {"account": "111122223333"},
        older: None,
    }
