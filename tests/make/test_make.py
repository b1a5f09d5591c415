"""`make up`, `make demo` and `make down` as a newcomer types them, on a stack of their own. Part of `make test-all`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from tools.venvs import HOME, ROOT

LONGEST = 1200.0  # a first `make up` makes virtual environments, on a slow machine
# As in a shell of one's own: nothing of AWS, and not one that another make has started.
OWN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("AWS_", "JETWAY_", "MAKE", "MFLAGS", "AIRFLOW_", "VIRTUAL_ENV"))
}
STATE = HOME / "test-make"


def bash(
    script: str, *, folder: Path = ROOT, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run what is typed into a new shell."""
    env = {**OWN, "JETWAY_STATE": str(STATE)} if variables is None else {**OWN, **variables}
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )


@pytest.fixture(scope="module")
def printed() -> Iterator[str]:
    """What `make up` prints on a stack that starts from nothing."""
    bash("make down")
    try:
        done = bash("make up")
        assert done.returncode == 0, done.stdout + done.stderr
        yield done.stdout
    finally:
        bash("make down")


def exported() -> dict[str, str]:
    """What `make env` makes of a shell."""
    done = bash('eval "$(make -s env)" && env -0')
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def s3() -> tuple[Any, str]:
    """A client as boto3 makes it of these variables, and the drop bucket."""
    env = exported()
    client = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=env["AWS_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    return client, env["DROP_BUCKET"]


def keys() -> set[str]:
    client, bucket = s3()
    return {found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]}


def test_every_address_that_is_printed_answers(printed: str) -> None:
    addresses = dict(re.findall(r"^(\w+ \w+) +(http\S+)$", printed, re.MULTILINE))
    assert addresses.keys() == {"Status page", "Swagger UI", "Airflow UI", "HTTP API"}
    api = addresses.pop("HTTP API")
    for address in addresses.values():
        with requests.Session() as browser:
            assert browser.get(address, timeout=60).status_code == 200, address
    assert exported()["HTTP_API_URL"] == api
    assert requests.get(f"{api}/health", timeout=60).status_code == 403  # it is there, and wants a signature
    assert f"s3://{s3()[1]}" in printed


def test_the_lines_that_are_printed_to_be_typed_work_as_they_are(printed: str) -> None:
    lines = re.findall(r"^  (\S.*)$", printed, re.MULTILINE)
    assert lines == ['eval "$(make -s env)"', "jetway run hello_jetway --wait"]
    done = bash("\n".join(lines))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "success" in done.stdout


def test_a_second_up_does_nothing_anew(printed: str) -> None:
    again = bash("make up")
    assert again.returncode == 0, again.stderr
    kept = [line for line in printed.splitlines() if not line.startswith("✓")]
    assert [line for line in again.stdout.splitlines() if not line.startswith("✓")] == kept
    assert "sam deploy" not in again.stdout


def test_a_refused_command_leaves_the_stack_as_it_is(printed: str) -> None:
    before = keys()
    done = bash("AIRFLOW_VERSION=2.11.2 make up")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert keys() == before


@pytest.mark.parametrize("command", ["demo", "up"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_the_stack_as_it_is(printed: str, command: str, number: signal.Signals) -> None:
    before = keys()
    env = {**OWN, "JETWAY_STATE": str(STATE)}
    # A session of its own, so that the signal goes to all of it, as from a terminal.
    with subprocess.Popen(
        ["make", command],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first step is done, others go on
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Interrupted.\nThe local stack is still running" in said
    assert before <= keys()
    done = bash('eval "$(make -s env)"; jetway run hello_jetway --wait')
    assert done.returncode == 0, done.stdout + done.stderr


def test_down_forgets_everything_and_up_has_the_same_addresses(printed: str) -> None:
    client, bucket = s3()
    client.put_object(Bucket=bucket, Key="notes/of-before", Body=b"x")
    before = exported()
    down = bash("make down")
    assert (down.returncode, "are gone" in down.stdout) == (0, True)
    assert bash('eval "$(make -s env)"').returncode != 0
    assert bash("make up").returncode == 0
    assert exported() == before
    assert "notes/of-before" not in keys()
    events = bash('eval "$(make -s env)"; jetway events --json')
    assert (events.returncode, events.stdout) == (0, "")


def test_the_demo_runs_from_a_checkout_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "große" one' / "jetway"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    done = bash("make demo", folder=folder, variables={})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The local stack is stopped" in done.stdout
