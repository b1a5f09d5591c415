"""What went live is looked at in the environment; what does not work there is rolled back, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jetway.artifacts.findings import Certainty, FoundDag, Judgement
from jetway.aws.s3 import head
from jetway.gate.recorder import PromotionRecorder
from jetway.promotion.copy import Placement
from tests.unit.artifacts.buckets import DROP, LIVE, REPORT_SCHEMA
from tests.unit.promotion.world import FACTS, GOOD, PARSED, World, unsure

KEY = "dags/team/orders.py"
FILE = "team/orders.py"
WORSE = GOOD + b"# worse\n"
KEY_ERROR = (
    'Traceback (most recent call last):\n  File "/usr/local/airflow/dags/team/orders.py", line 3, in <module>\n'
    "KeyError: 'Variable region does not exist'\n"
)
NO_MODULE = "Traceback (most recent call last):\n  …\nModuleNotFoundError: No module named 'common'\n"


def test_a_file_that_works_is_good_once_the_environment_has_parsed_it(world: World) -> None:
    world.airflow.dags = {}
    version = world.drop(KEY)
    assert world.look(after=timedelta(seconds=119)) == []
    assert world.airflow.asked == [], "nothing is asked before it is due"
    assert world.minutes(3) == []
    world.airflow.dags = {"orders": f"/usr/local/airflow/dags/{FILE}", "other": "/usr/local/airflow/dags/other.py"}
    (found,) = world.look(after=timedelta(minutes=1))  # its DAG proves that it was parsed
    assert (found.key, found.version, found.outcome) == (KEY, version, "good")
    standing = world.standing(KEY)
    assert (standing.stage, standing.due_at) == ("good", None)
    assert standing.good is not None
    assert standing.good.dags == ("orders",), "those of its file"
    asked = len(world.airflow.asked)
    assert world.minutes(3) == []
    assert len(world.airflow.asked) == asked, "nothing is due any more"


@pytest.mark.parametrize(("certainty", "certain"), [("loaded", True), ("exact", True), ("conditional", False)])
def test_what_the_gate_knows_for_certain(world: World, certainty: Certainty, *, certain: bool) -> None:
    world.s3.put_object(Bucket=DROP, Key=KEY, Body=GOOD)
    version = head(world.s3, DROP, KEY)
    assert version is not None
    judged = Judgement("dag-file", "accepted", (), (FoundDag("orders", 1, certainty),))
    book = PromotionRecorder(world.s3, world.table, world.news.append, "acme", timedelta(seconds=120))
    book.note(version, judged, Placement("promoted", LIVE, KEY, "l1", first=True), report="r", at=world.now)
    live = world.standing(KEY).live
    assert live is not None
    assert (live.dags, live.guessed) == ((("orders",), False) if certain else ((), True))


@pytest.mark.parametrize("path", [FILE, f"/usr/local/airflow/dags/{FILE}", f"/home/someone/airflow/dags/{FILE}"])
def test_the_previous_version_comes_back(world: World, path: str) -> None:
    good = world.verified(KEY)
    bad = world.drop(KEY, WORSE)
    assert world.live(KEY) == WORSE
    world.airflow.errors = {path: KEY_ERROR}
    (found,) = world.minutes(2)
    assert (found.key, found.version, found.outcome, found.restored) == (KEY, bad, "rolled-back", good)
    assert world.live(KEY) == GOOD
    head = world.s3.head_object(Bucket=LIVE, Key=KEY)
    assert head["Metadata"]["jetway-source-version"] == good
    assert head["Metadata"]["jetway-instead-of"] == bad
    report = world.report(KEY)
    REPORT_SCHEMA.validate(report)
    assert report == world.report(KEY, bad)
    assert (report["verdict"], report["outcome"]) == ("accepted", "rolled-back")
    assert report["verification"]["problems"] == [{"where": FILE, "message": KEY_ERROR.strip()}]
    assert report["verification"]["restored"]["version"] == good
    text = world.s3.get_object(Bucket=DROP, Key=f"reports/{KEY}/report.md")["Body"].read().decode()
    assert "KeyError: 'Variable region does not exist'" in text
    assert (world.tag(KEY, bad), world.tag(KEY, good)) == ("rolled-back", "accepted")
    assert world.told() == ["ArtifactPromoted", "ArtifactPromoted", "ArtifactRolledBack"]
    news = world.news[-1]
    assert news.subject == f"Jetway acme: {KEY} was rolled back"
    assert news.message is not None
    assert "KeyError: 'Variable region does not exist'" in news.message
    assert "To do: correct the file" in news.message


def test_there_is_never_a_second_rollback_of_a_version(world: World) -> None:
    world.verified(KEY)
    bad = world.drop(KEY, WORSE)
    world.airflow.errors = {FILE: KEY_ERROR}
    assert len(world.minutes(20)) == 1
    assert [settled.outcome for settled in world.settle(KEY, bad)] == ["rolled-back"], "its event comes again"
    assert [settled.outcome for settled in world.settle(KEY)] == ["rolled-back"]
    assert world.live(KEY) == GOOD
    assert world.minutes(20) == []
    assert world.told().count("ArtifactRolledBack") == 1


def test_the_same_content_uploaded_again_is_another_try(world: World) -> None:
    world.verified(KEY)
    world.drop(KEY, WORSE)
    world.airflow.errors = {FILE: KEY_ERROR}
    world.minutes(2)
    world.airflow.errors = {}  # somebody has made the Variable
    again = world.drop(KEY, WORSE)
    assert [found.version for found in world.minutes(14)] == [again]
    assert world.live(KEY) == WORSE


def test_a_new_file_is_taken_out_again(world: World) -> None:
    bad = world.drop(KEY)
    world.airflow.errors = {FILE: KEY_ERROR}
    (found,) = world.minutes(2)
    assert (found.outcome, found.restored) == ("rolled-back", None)
    assert world.live(KEY) is None
    assert world.versions(KEY) == (1, 1), "a delete marker: the version is still there"
    assert world.report(KEY)["verification"]["restored"] is None
    assert world.standing(KEY).rolled_back == (bad,)


def test_what_was_put_there_by_hand_comes_back(world: World) -> None:
    world.s3.put_object(Bucket=LIVE, Key=KEY, Body=b"by hand")
    world.drop(KEY)
    world.airflow.errors = {FILE: KEY_ERROR}
    assert world.minutes(4) == [], "the error may be that of the version before, until everything is parsed"
    (found,) = world.minutes(10)
    assert found.outcome == "rolled-back"
    assert world.live(KEY) == b"by hand"
    assert world.minutes(30) == [], "and is left alone, whatever errors it has"
    assert world.live(KEY) == b"by hand"


def test_two_bad_versions_in_a_row_lead_back_to_the_good_one(world: World) -> None:
    world.verified(KEY)
    world.drop(KEY, WORSE)
    world.drop(KEY, WORSE + b"# still\n")
    world.airflow.errors = {FILE: KEY_ERROR}
    assert [found.outcome for found in world.minutes(20)] == ["rolled-back"]
    assert world.live(KEY) == GOOD


def test_two_bad_versions_without_a_good_one_are_taken_out_one_after_the_other(world: World) -> None:
    world.drop(KEY)
    world.drop(KEY, WORSE)
    world.airflow.errors = {FILE: KEY_ERROR}
    assert [found.outcome for found in world.minutes(40)] == ["rolled-back", "rolled-back"]
    assert world.live(KEY) is None


def test_a_module_that_arrives_late_is_no_reason(world: World) -> None:
    world.drop(KEY)
    world.airflow.errors = {FILE: NO_MODULE}
    assert world.minutes(4) == []
    world.airflow.errors = {}
    assert [found.outcome for found in world.minutes(10)] == ["good"]


def test_a_module_that_never_arrives_is_one(world: World) -> None:
    world.drop(KEY)
    world.airflow.errors = {FILE: NO_MODULE}
    assert [found.outcome for found in world.minutes(10)] == ["rolled-back"]


def test_a_module_that_has_just_gone_live_gets_the_time_to_be_parsed(world: World) -> None:
    """In an upload of many files a module may go live minutes after the files that import it."""
    world.drop(KEY)
    world.airflow.errors = {FILE: NO_MODULE}
    assert world.minutes(6) == []
    world.drop("dags/common.py", b"REGION = 1\n")
    assert world.minutes(6) == [], "the file is not parsed again yet"
    world.airflow.errors = {}
    assert [found.outcome for found in world.minutes(10)] == ["good", "good"]


def test_files_that_keep_coming_put_a_rollback_off_only_once(world: World) -> None:
    world.drop(KEY)
    world.airflow.errors = {FILE: NO_MODULE}
    found = []
    for number in range(13):
        world.drop(f"dags/other_{number}.py", b"REGION = 1\n")
        found += world.minutes(1)
    assert [(verified.key, verified.outcome) for verified in found if verified.key == KEY] == [(KEY, "rolled-back")]


def test_an_unknown_verdict_is_looked_at_first(world: World) -> None:
    world.drop(KEY)
    world.load = unsure
    world.drop("dags/odd.py", b"x = 1\n")
    world.airflow.errors = {"odd.py": KEY_ERROR}
    (found,) = world.look(after=timedelta(seconds=41))
    assert (found.key, found.outcome) == ("dags/odd.py", "rolled-back")
    world.airflow.errors = {"odd.py": KEY_ERROR, FILE: KEY_ERROR}
    world.drop("dags/odd.py", b"y = 1\n")
    found_keys = [found.key for found in world.minutes(15)]
    assert found_keys[0] == KEY, "what was live before had an error: it may be that one"


def test_a_helper_module_answers_for_those_who_import_it(world: World) -> None:
    world.verified(KEY)
    common = world.verified("dags/common.py", b"REGION = 1\n")
    world.drop("dags/common.py", b"raise ValueError\n")
    error = 'Traceback…\n  File "/usr/local/airflow/dags/common.py", line 1, in <module>\nValueError\n'
    world.airflow.errors = {FILE: error}
    (found,) = world.minutes(3)
    assert (found.key, found.restored) == ("dags/common.py", common)
    assert world.live("dags/common.py") == b"REGION = 1\n"


def test_a_data_file_answers_for_the_dag_files_that_read_it(world: World) -> None:
    def told_with_readers(_version: object, _content: bytes, _facts: object, static: Judgement) -> Judgement:
        return replace(static, readers=(FILE,)) if static.kind == "dags-folder-file" else static

    world.load = told_with_readers
    world.verified(KEY)
    flows = world.verified("dags/flows.json", b"{}")
    world.drop("dags/flows.json", b"{,}")
    world.airflow.errors = {FILE: "Traceback…\njson.decoder.JSONDecodeError: Expecting property name\n"}
    (found,) = world.minutes(3)
    assert (found.key, found.outcome, found.restored) == ("dags/flows.json", "rolled-back", flows)
    assert world.live("dags/flows.json") == b"{}"


def test_a_data_file_that_nobody_reads_answers_for_nothing(world: World) -> None:
    world.verified(KEY)
    world.verified("dags/flows.json", b"{}")
    world.drop("dags/flows.json", b"{,}")
    world.airflow.errors = {FILE: "Traceback…\njson.decoder.JSONDecodeError: Expecting property name\n"}
    assert [found.outcome for found in world.minutes(14)] == ["good"]


def test_an_error_that_was_there_before_is_nobodys_fault(world: World) -> None:
    error = 'Traceback…\n  File "/usr/local/airflow/dags/common.py", line 1, in <module>\nValueError\n'
    world.airflow.errors = {"legacy.py": error}
    world.verified(KEY)  # somebody has looked
    world.drop("dags/common.py", b"REGION = 1\n")
    assert [found.outcome for found in world.minutes(14)] == ["good"]


def test_a_dag_that_vanished_counts_as_an_error(world: World) -> None:
    world.airflow.dags = {"orders": f"/usr/local/airflow/dags/{FILE}"}
    good = world.verified(KEY)
    world.drop(KEY, WORSE)
    world.airflow.dags = {}
    (found,) = world.minutes(14)
    assert (found.outcome, found.restored) == ("rolled-back", good)
    assert "DAG 'orders' has vanished" in found.problems[0].message


def test_a_dag_that_the_file_does_not_make_any_more_has_not_vanished(world: World) -> None:
    world.airflow.dags = {"orders": f"/usr/local/airflow/dags/{FILE}"}
    world.verified(KEY)
    world.drop(KEY, GOOD.replace(b"orders", b"invoices"))
    world.airflow.dags = {"invoices": f"/usr/local/airflow/dags/{FILE}"}
    assert [found.outcome for found in world.minutes(14)] == ["good"]


def test_nothing_is_judged_while_the_environment_is_updating(world: World) -> None:
    world.drop(KEY)
    world.airflow.errors = {FILE: KEY_ERROR}
    world.environment.current = replace(FACTS, status="UPDATING")
    assert world.look(after=PARSED) == []
    world.environment.current = FACTS
    assert [found.outcome for found in world.minutes(2)] == ["rolled-back"]


def test_what_does_not_fit_into_the_time_is_due_the_next_minute(world: World) -> None:
    for number in range(3):
        world.drop(f"dags/{number}.py", GOOD.replace(b"orders", str(number).encode()))
    world.seconds_left = 5.0
    assert world.look(after=PARSED) == []
    world.seconds_left = 100.0
    assert len(world.minutes(2)) == 3


def test_a_newer_version_that_comes_in_between_is_not_touched(world: World) -> None:
    good = world.verified(KEY)
    bad = world.drop(KEY, WORSE)
    newer = world.s3.put_object(Bucket=DROP, Key=KEY, Body=b"# newest\n")["VersionId"]
    world.airflow.errors = {FILE: KEY_ERROR}
    copy = world.s3.copy_object

    def after_the_newer_one(**arguments: Any) -> Any:
        world.s3.copy_object = copy
        world.settle(KEY, newer)
        return copy(**arguments)

    world.s3.copy_object = after_the_newer_one
    (found,) = world.minutes(2)
    assert world.s3.copy_object == copy, "it came in between"
    assert (found.outcome, found.version, found.restored) == ("rolled-back", bad, None)
    assert world.live(KEY) == b"# newest\n"
    assert world.standing(KEY).stage == "verifying"
    assert (world.report(KEY, bad)["outcome"], world.tag(KEY, bad)) == ("rolled-back", "rolled-back")
    assert good not in world.standing(KEY).rolled_back


def test_the_dags_of_the_version_before_prove_nothing(world: World) -> None:
    world.airflow.dags = {"orders": f"/usr/local/airflow/dags/{FILE}"}
    world.drop(KEY)
    (found,) = world.minutes(2)
    assert found.outcome == "good"
    world.drop(KEY, WORSE)
    assert world.minutes(4) == []
    world.airflow.errors = {FILE: KEY_ERROR}
    assert [found.outcome for found in world.minutes(1)] == ["rolled-back"]


def test_the_window_follows_the_environments_settings(world: World) -> None:
    options = {"dag_processor.refresh_interval": "10", "dag_processor.min_file_process_interval": "10"}
    world.environment.current = replace(FACTS, options=options)
    world.drop(KEY)
    assert [found.outcome for found in world.minutes(2)] == ["good"]
