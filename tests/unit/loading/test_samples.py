"""What a file does while it is loaded: looked at without a race, by a thread that holds Python's lock."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from jetway_loader import samples
from jetway_loader.samples import Samples


def test_the_line_at_which_most_of_the_time_goes_by_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_EACH_SECONDS", 0.02)
    looks = Samples(__file__)
    ends = time.monotonic() + 0.5
    while time.monotonic() < ends:
        sum(range(100))
    line = sys._getframe().f_lineno - 2
    found = looks.stop()
    assert found["busy"] > 0, "what it waited for a processor is not counted"
    assert found["at"] in {line, line + 1}
    assert "monotonic" in found["doing"] or "range" in found["doing"]


def test_a_call_of_a_library_is_told_with_the_function_that_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_EACH_SECONDS", 0.02)
    looks = Samples(__file__)
    subprocess.run(["sleep", "0.4"], check=True)
    found = looks.stop()
    assert found["doing"].startswith('`subprocess.run(["sleep", "0.4"], check=True)`, in ')
    assert found["doing"].endswith(("/subprocess.py", "/selectors.py"))


def test_what_is_over_before_the_first_look_has_no_line() -> None:
    assert set(Samples(__file__).stop()) == {"busy"}


_DEEP = """
import sys, time
sys.path.insert(0, {loader!r})
from jetway_loader import samples
samples._EACH_SECONDS = 0.0005

def deep(number):
    return number and deep(number - 1)

looks = samples.Samples("nowhere")
ends = time.monotonic() + {seconds}
while time.monotonic() < ends:
    deep(400)
    eval(compile("sum([x for x in range(50)])", "text", "eval"))
looks.stop()
"""


def test_looking_never_ends_the_process() -> None:
    loader = str(samples.__file__).rpartition("/jetway_loader/")[0]
    done = subprocess.run([sys.executable, "-c", _DEEP.format(loader=loader, seconds=1.5)], check=False)
    assert done.returncode == 0, "the thread that looked has read frames that were given back"
