"""What plugins.zip, requirements.txt and startup.sh add to Airflow: a folder of its own for each update.

The virtual environment of Airflow is shared by all stacks and stays as it is. Packages go into a folder on
PYTHONPATH, which comes before the environment's own; plugins into the plugins folder; what the startup script exports
into the variables of Airflow's programs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.emulator.gateway.images import Pins

# As in MWAA's image: https://github.com/aws/amazon-mwaa-docker-images, python/mwaa/utils/user_requirements.py
INSTALL_SECONDS = 540.0
# https://docs.aws.amazon.com/mwaa/latest/userguide/using-startup-script.html
STARTUP_SECONDS = 300.0

_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"  # virtual environments here are made by this interpreter
_MWAA_HOME = "/usr/local/airflow"
# The line that MWAA looks for, in comments too.
_BRINGS_CONSTRAINTS = re.compile(r"-c |--constraint ")
_AIRFLOWS_CONSTRAINTS = re.compile(r"https://raw\.githubusercontent\.com/apache/airflow/constraints-[^\s\"']+")
# A pin for one version of Python, as in `numpy==2.4.6 ; python_full_version < '3.12'`.
_PYTHONS_PIN = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)\s*==[^;#\n]*;[^#\n]*\bpython_(?:full_)?version\b", re.MULTILINE)
_NAME = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)", re.MULTILINE)
# https://docs.aws.amazon.com/mwaa/latest/userguide/using-startup-script.html#startup-script-reserved-vars
_RESERVED = re.compile(r"AIRFLOW__(CORE__FERNET_KEY|CORE__EXECUTOR|DATABASE__|CELERY__|LOGGING__)|AIRFLOW_HOME|MWAA_")
_OF_THE_SHELL = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "PATH"})


class OverlayError(Exception):
    """A file cannot be used at all: on MWAA the update fails."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """One folder; what is in it is what the environment uses."""

    folder: Path

    @property
    def plugins(self) -> Path:
        return self.folder / "plugins"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.plugins, self.packages):
            folder.mkdir(parents=True, exist_ok=True)

    def unpack(self, archive: Path) -> None:
        """Unpack plugins.zip as MWAA does, its content at the root of the plugins folder.

        Raises:
            OverlayError: it is no zip.
        """
        try:
            with zipfile.ZipFile(archive) as found:
                found.extractall(self.plugins)
        except (zipfile.BadZipFile, OSError, RuntimeError) as exc:
            raise OverlayError(f"plugins.zip cannot be unpacked: {exc}") from exc

    def install(self, requirements: Path, *, uv: Path, python: Path, pins: Pins | None, home: Path, log: Path) -> bool:
        """Install requirements.txt under the environment's constraints; return whether that went well.

        A failure is logged, and Airflow starts all the same, as in MWAA's image.

        Args:
            python: of Airflow's virtual environment.
            pins: of the image of this Airflow; None pins nothing.
            home: AIRFLOW_HOME, which stands for MWAA's /usr/local/airflow.
        """
        text = requirements.read_text(errors="replace")
        constraints = {} if pins is None else dict(pins.constraints)
        essential = {} if pins is None else dict(pins.essential)
        if pins is not None and not pins.python.startswith(f"{_PYTHON}."):
            # Constraints are for MWAA's Python. What the file pins for another one, this one here, it pins itself.
            for name in _PYTHONS_PIN.findall(text):
                constraints.pop(_normal(name), None)
        # MWAA enforces all of Airflow's constraints when the file brings none.
        forced = essential if _BRINGS_CONSTRAINTS.search(text) else constraints | essential
        airflows = self._write("airflow-constraints.txt", constraints)
        asked = self.folder / "requirements.txt"
        asked.write_text(self._here(_AIRFLOWS_CONSTRAINTS.sub(str(airflows), text), home))
        there = _installed(uv, python)
        named = {_normal(name) for name in _NAME.findall(text)}
        kept = self.folder / "installed.txt"
        kept.write_text("".join(f"{name}\n" for name in there if _normal(name) not in named))
        command = [uv, "pip", "install", "--target", self.packages, "--python", python, "--requirements", asked]
        # What the virtual environment has is not installed a second time.
        command += ["--constraints", self._write("essential-constraints.txt", forced), "--excludes", kept]
        with log.open("ab") as out:
            try:
                done = subprocess.run(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=dict(os.environ),
                    check=False,
                    timeout=INSTALL_SECONDS,
                )
            except subprocess.TimeoutExpired:
                out.write(f"ERROR: the installation took more than {INSTALL_SECONDS:g} s\n".encode())
                return False
        return done.returncode == 0

    def start_up(self, script: Path, env: Mapping[str, str], *, home: Path, log: Path) -> dict[str, str]:
        """Run startup.sh and return the variables that it exports.

        Raises:
            OverlayError: it failed, or took too long.
        """
        exported = self.folder / "exported"
        # The script is read into a shell of ours, whose variables are then written down.
        code = f'. "{script}" || exit $?; env -0 > "{exported}"'
        with log.open("ab") as out:
            try:
                done = subprocess.run(
                    ["bash", "-c", code],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**env, "MWAA_AIRFLOW_COMPONENT": "scheduler"},
                    cwd=home,
                    check=False,
                    timeout=STARTUP_SECONDS,
                )
            except subprocess.TimeoutExpired as exc:
                raise OverlayError(f"startup.sh took more than {STARTUP_SECONDS:g} s.") from exc
        if done.returncode or not exported.exists():
            raise OverlayError(f"startup.sh ended with exit code {done.returncode}.")
        found = (entry.partition("=") for entry in exported.read_text(errors="replace").split("\0") if entry)
        return {
            name: value
            for name, _, value in found
            if env.get(name) != value and name not in _OF_THE_SHELL and not _RESERVED.match(name)
        }

    def _here(self, text: str, home: Path) -> str:
        """Paths of MWAA's containers become those of this machine."""
        text = text.replace(f"{_MWAA_HOME}/plugins", str(self.plugins))
        return text.replace(_MWAA_HOME, str(home))

    def _write(self, name: str, pins: Mapping[str, str]) -> Path:
        file = self.folder / name
        file.write_text("".join(f"{package}=={version}\n" for package, version in pins.items()))
        return file


def _installed(uv: Path, python: Path) -> list[str]:
    answer = subprocess.run(
        [str(uv), "pip", "list", "--python", str(python), "--format", "freeze"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [line.partition("==")[0] for line in answer.stdout.splitlines() if "==" in line]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
