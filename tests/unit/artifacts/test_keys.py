"""Keys: what may become a file of the dags folder, and where reports and quarantined copies are."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jetway.artifacts.keys import LARGEST_COPY, placing_findings, quarantine_key, report_key
from jetway.artifacts.kinds import kind_of

from .judging import AIRFLOW_3

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=1024).filter(lambda key: len(key.encode()) <= 1024)
VERSION = "v" * 32


@settings(deadline=None)
@given(KEYS)
@example("a" * 1024)
@example("é" * 512)
def test_every_key_of_s3_has_report_and_quarantine_keys_that_s3_takes(key: str) -> None:
    for made, prefix in ((report_key(key, VERSION), "reports/"), (quarantine_key(key, VERSION), "quarantine/")):
        assert made.startswith(prefix)
        assert len(made.encode()) <= 1024
        assert VERSION in made


def test_a_key_that_fits_is_kept_as_it_is() -> None:
    assert report_key("dags/a b+c.py", "v1") == "reports/dags/a b+c.py/v1.json"
    assert quarantine_key("dags/a b+c.py", "v1") == "quarantine/dags/a b+c.py/v1"


def test_two_long_keys_with_the_same_beginning_stay_apart() -> None:
    long = "dags/" + "é" * 505
    assert report_key(long + "a.py", VERSION) != report_key(long + "b.py", VERSION)


@settings(deadline=None)
@given(KEYS)
def test_every_key_has_a_kind(key: str) -> None:
    assert kind_of(key).name


def test_a_key_that_is_longer_in_the_environments_bucket_is_refused() -> None:
    key = "dags/" + "a" * 1016 + ".py"
    assert placing_findings(key, 1, key) == []
    (finding,) = placing_findings(key, 1, "long/" + key)
    assert finding.rule == "key-too-long"


def test_the_dags_folder_of_the_environment_may_be_deeper_or_the_bucket_itself() -> None:
    kind = kind_of("dags/team/a.py")
    assert kind.destination("dags/team/a.py", replace(AIRFLOW_3, dags_path="airflow/dags")) == "airflow/dags/team/a.py"
    assert kind.destination("dags/team/a.py", replace(AIRFLOW_3, dags_path="")) == "team/a.py"


def test_what_s3_cannot_copy_at_once_is_refused() -> None:
    assert placing_findings("dags/a.csv", LARGEST_COPY, "dags/a.csv") == []
    (finding,) = placing_findings("dags/a.csv", LARGEST_COPY + 1, "dags/a.csv")
    assert finding.rule == "too-large"


def test_what_needs_an_update_goes_where_the_environment_looks_for_it() -> None:
    configured = replace(
        AIRFLOW_3, requirements_path="conf/requirements.txt", plugins_path="p.zip", startup_script_path="s/startup.sh"
    )
    for key, path in {
        "requirements.txt": "conf/requirements.txt",
        "plugins.zip": "p.zip",
        "startup.sh": "s/startup.sh",
    }.items():
        assert kind_of(key).destination(key, configured) == path
        assert kind_of(key).destination(key, AIRFLOW_3) == key
