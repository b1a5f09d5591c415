"""What plugins.zip, requirements.txt and startup.sh add to Airflow, with the real uv and without an index."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.emulator.wheels import wheel
from tools import venvs
from tools.emulator.gateway.images import pins_of
from tools.emulator.gateway.overlay import Overlay, OverlayError

PYTHON = Path(sys.executable)
IMAGES = venvs.ROOT / "layers/jetway/jetway/artifacts/mwaa_packages"
OFFLINE = "--no-index\n--find-links /usr/local/airflow/plugins\n"


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    made = Overlay(tmp_path / "1")
    made.make()
    return made


def install(overlay: Overlay, text: str, version: str = "3.3.1") -> bool:
    requirements = overlay.folder / "dropped.txt"
    requirements.write_text(text)
    return overlay.install(
        requirements,
        uv=venvs.uv(),
        python=PYTHON,
        pins=pins_of(IMAGES, version),
        home=overlay.folder.parent,
        log=overlay.folder / "log",
    )


def imported(overlay: Overlay, code: str) -> str:
    env = {"PYTHONPATH": str(overlay.packages), "PATH": os.environ["PATH"]}
    return subprocess.run([PYTHON, "-c", code], env=env, capture_output=True, text=True, check=True).stdout.strip()


def test_a_wheel_in_plugins_zip_is_installed_without_an_index(overlay: Overlay) -> None:
    archive = overlay.folder / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as found:
        found.writestr("jetway_sample-1.0-py3-none-any.whl", wheel("jetway_sample", "1.0", "WORD = 'here'\n"))
        found.writestr("operators/acme.py", "")
    overlay.unpack(archive)
    assert (overlay.plugins / "operators/acme.py").exists()
    assert install(overlay, OFFLINE + "--constraint /usr/local/airflow/plugins/c.txt\n") is False, "no such file"
    (overlay.plugins / "c.txt").write_text("")
    assert install(overlay, OFFLINE + "--constraint /usr/local/airflow/plugins/c.txt\njetway-sample==1.0\n")
    assert imported(overlay, "import jetway_sample; print(jetway_sample.WORD)") == "here"


def test_a_package_that_nobody_has_is_only_logged(overlay: Overlay) -> None:
    assert not install(overlay, OFFLINE + "jetway-sample==2.0\n")
    assert "jetway-sample" in (overlay.folder / "log").read_text()


def test_what_mwaa_pins_cannot_be_overridden(overlay: Overlay) -> None:
    (overlay.plugins / "celery-1.0-py3-none-any.whl").write_bytes(wheel("celery", "1.0", ""))
    assert not install(overlay, OFFLINE + "# --constraint none of Airflow's\ncelery==1.0\n")
    assert "celery" in (overlay.folder / "log").read_text()


def test_airflows_constraints_are_found_without_their_host(overlay: Overlay) -> None:
    url = "https://raw.githubusercontent.com/apache/airflow/constraints-3.3.1/constraints-3.12.txt"
    (overlay.plugins / "jetway_sample-1.0-py3-none-any.whl").write_bytes(wheel("jetway_sample", "1.0", ""))
    assert install(overlay, f'--constraint "{url}"\n{OFFLINE}jetway-sample\n')


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="that is MWAA's Python: its constraints hold")
def test_a_pin_for_a_python_that_is_not_mwaas_goes_before_airflows_constraint(overlay: Overlay) -> None:
    (overlay.plugins / "scipy-0.1-py3-none-any.whl").write_bytes(wheel("scipy", "0.1", ""))
    (overlay.plugins / "numpy-0.1-py3-none-any.whl").write_bytes(wheel("numpy", "0.1", ""))
    here = f"python_version == '{sys.version_info[0]}.{sys.version_info[1]}'"
    assert install(overlay, f"{OFFLINE}scipy==0.1 ; {here}\nscipy==1.18.0 ; python_version == '3.12'\n")
    assert not install(overlay, f"{OFFLINE}scipy==0.1 ; {here}\nnumpy==0.1\n"), "numpy is constrained"


def test_a_file_that_is_no_zip_fails_the_update(overlay: Overlay) -> None:
    archive = overlay.folder / "plugins.zip"
    archive.write_bytes(b"no zip")
    with pytest.raises(OverlayError, match=r"plugins\.zip cannot be unpacked"):
        overlay.unpack(archive)


def test_the_startup_script_exports_variables(overlay: Overlay) -> None:
    script = overlay.folder / "startup.sh"
    script.write_text("export ACME='a b'\nPLAIN=1\nexport AIRFLOW_HOME=/elsewhere\necho hello\n")
    env = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": "/home"}
    exported = overlay.start_up(script, env, home=overlay.folder, log=overlay.folder / "log")
    assert exported == {"ACME": "a b"}, "neither what is not exported, nor what MWAA reserves"
    assert (overlay.folder / "log").read_text() == "hello\n"


def test_a_startup_script_that_fails_fails_the_update(overlay: Overlay) -> None:
    script = overlay.folder / "startup.sh"
    script.write_text("exit 3\n")
    with pytest.raises(OverlayError, match="exit code 3"):
        overlay.start_up(script, {"PATH": os.environ["PATH"]}, home=overlay.folder, log=overlay.folder / "log")


def test_an_image_that_is_not_known_pins_nothing(tmp_path: Path) -> None:
    assert pins_of(None, "3.3.1") is pins_of(tmp_path, "3.3.1") is None


def test_a_document_that_says_nothing_of_pins_is_refused(tmp_path: Path) -> None:
    (tmp_path / "3.3.1.json").write_text("{}")
    with pytest.raises(ValueError, match=r"3\.3\.1\.json: 'python' is missing"):
        pins_of(tmp_path, "3.3.1")
