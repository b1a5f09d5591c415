"""What UpdateEnvironment does to the local Airflow: exact object versions are read, put in place, and it is restarted.

When Airflow does not come up with them, it is started with what was in place before, and the update has failed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.emulator import airflow as local_airflow
from tools.emulator.gateway.environment import UpdateFailedError
from tools.emulator.gateway.images import pins_of
from tools.emulator.gateway.install_log import group_of, tell_of_failure
from tools.emulator.gateway.overlay import Overlay, OverlayError
from tools.emulator.processes import ProcessError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

    from tools.emulator.airflow import Airflow
    from tools.emulator.gateway.environment import Description

log = logging.getLogger(__name__)

_FILES = {"Plugins": "plugins.zip", "Requirements": "requirements.txt", "StartupScript": "startup.sh"}
_START_SECONDS = 120.0


class AirflowUpdater:
    """The applier of a real Airflow (`environment.Applier`).

    Args:
        restart_commands: makes the CLI see what Airflow sees; called with the new Airflow.
        logs: where MWAA's containers log.
        uv: the installer.
        images: folder of what images pin (`images.pins_of`).
    """

    def __init__(
        self,
        s3: S3Client,
        logs: CloudWatchLogsClient,
        bucket: str,
        airflow: Airflow,
        *,
        restart_commands: Callable[[Airflow], None],
        uv: Callable[[], Path],
        images: Path | None,
    ) -> None:
        self._s3 = s3
        self._logs = logs
        self._bucket = bucket
        self._airflow = airflow
        self._restart_commands = restart_commands
        self._uv = uv
        self._images = images

    def __call__(self, before: Description, after: Description) -> None:
        """Apply an update.

        Raises:
            UpdateFailedError: a file is not there or of no use, or Airflow did not come up; what was before is back.
        """
        if _files_of(before) == _files_of(after):
            return  # bounds and the like: nothing that Airflow here would notice
        old = self._airflow
        folder = _free_folder(old.home / "updates")
        try:
            new = self._prepare(Overlay(folder), after)
        except OverlayError as exc:
            shutil.rmtree(folder, ignore_errors=True)
            raise UpdateFailedError("INCORRECT_CONFIGURATION", str(exc)) from exc
        try:
            self._switch(new)
        except ProcessError as exc:
            log.warning("Airflow does not come up, going back: %s", exc)
            self._switch(old)
            shutil.rmtree(folder, ignore_errors=True)
            raise UpdateFailedError("INCORRECT_CONFIGURATION", f"Airflow did not come up: {exc}") from exc
        if old.overlay is not None:
            shutil.rmtree(old.overlay, ignore_errors=True)

    def _prepare(self, overlay: Overlay, after: Description) -> Airflow:
        """Put the files in place, in the order of MWAA's image: startup script, then requirements."""
        overlay.make()
        found = {thing: self._download(overlay.folder, thing, *place) for thing, place in _files_of(after).items()}
        airflow = replace(self._airflow, overlay=overlay.folder, startup_env={})
        if "Plugins" in found:
            overlay.unpack(found["Plugins"])
        run = airflow.run_folder
        if "StartupScript" in found:
            env = airflow.environment()
            exported = overlay.start_up(found["StartupScript"], env, home=airflow.home, log=run / "startup_script.log")
            airflow = replace(airflow, startup_env=exported)
        if "Requirements" in found:
            log_file = run / "requirements_install.log"
            before = log_file.stat().st_size if log_file.exists() else 0
            well = overlay.install(
                found["Requirements"],
                uv=self._uv(),
                python=airflow.python,
                pins=pins_of(self._images, airflow.version),
                home=airflow.home,
                log=log_file,
            )
            if not well:
                log.error("requirements.txt could not be installed; see %s", log_file)
                self._tell(after, log_file.read_bytes()[before:].decode(errors="replace"))
        return airflow

    def _tell(self, environment: Description, output: str) -> None:
        group = group_of(environment)
        try:
            tell_of_failure(self._logs, group, output)
        except (ClientError, BotoCoreError) as exc:
            log.warning("nothing could be logged to %s: %s", group, exc)

    def _download(self, folder: Path, thing: str, path: str, version: str) -> Path:
        target = folder / _FILES[thing]
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=path, VersionId=version)
            with answer["Body"] as body, target.open("wb") as file:
                shutil.copyfileobj(body, file)
        except (ClientError, BotoCoreError) as exc:
            raise OverlayError(f"version {version} of s3://{self._bucket}/{path} cannot be read: {exc}") from exc
        return target

    def _switch(self, airflow: Airflow) -> None:
        local_airflow.stop(self._airflow)
        airflow.write()
        self._airflow = airflow
        self._restart_commands(airflow)
        local_airflow.start(airflow, seconds=_START_SECONDS)


def _files_of(description: Description) -> dict[str, tuple[str, str]]:
    """Path and object version of what the environment uses."""
    found: dict[str, tuple[Any, Any]] = {
        thing: (description.get(f"{thing}S3Path"), description.get(f"{thing}S3ObjectVersion")) for thing in _FILES
    }
    return {thing: (path, version) for thing, (path, version) in found.items() if path and version}


def _free_folder(parent: Path) -> Path:
    number = 1
    while (parent / str(number)).exists():
        number += 1
    folder = parent / str(number)
    folder.mkdir(parents=True)
    return folder
