"""Keeps Airflow's dags folder equal to the environment's bucket, as MWAA does (there every 30 s, here every second).

Only files that came from the bucket are ever changed or removed: one laid into the folder by hand stays.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: relative paths to fetch, with their ETag, and paths to remove."""

    fetch: Mapping[str, str]
    remove: tuple[str, ...]


def relative_path(key: str, prefix: str) -> str | None:
    """The path in the dags folder that a key stands for; None when it stands for none.

    Refused are folder markers and whatever could lead out of the folder.
    """
    if not key.startswith(prefix):
        return None
    path = key[len(prefix) :]
    parts = PurePosixPath(path).parts
    if not path or path.endswith("/") or "\0" in path or path != "/".join(parts):
        return None  # the last: "//", "./" and a leading slash are not what they seem as a file's path
    return None if ".." in parts else path


def plan(found: Mapping[str, str], have: Mapping[str, str]) -> Plan:
    """Compare the bucket with what was synchronised (path → ETag of both)."""
    return Plan(
        fetch={path: etag for path, etag in found.items() if have.get(path) != etag},
        remove=tuple(path for path in have if path not in found),
    )


class DagSync:
    """Mirrors `s3://<bucket>/<dags path>/` into a folder.

    Args:
        dags_path: asked anew at every look, because UpdateEnvironment may change it.
        memory: the file that remembers what came from the bucket.
    """

    def __init__(self, client: S3Client, bucket: str, dags_path: Callable[[], str], folder: Path, memory: Path) -> None:
        self._client = client
        self._bucket = bucket
        self._dags_path = dags_path
        self._folder = folder.resolve()
        self._memory = memory
        self._have = self._remember()
        self._refused: set[str] = set()
        self._failing = ""

    def run(self, pause: float, stop: threading.Event) -> None:
        """Look again and again until told to stop; trouble with S3 is logged once and outlived."""
        while not stop.is_set():
            self.look()
            stop.wait(pause)

    def look(self) -> bool:
        """Look once; return whether the bucket could be read."""
        try:
            changed = self._once()
        except (ClientError, BotoCoreError) as exc:
            if str(exc) != self._failing:
                log.warning("bucket %s cannot be read, trying again: %s", self._bucket, exc)
            self._failing = str(exc)
            return False
        if self._failing:
            log.info("bucket %s can be read again", self._bucket)
            self._failing = ""
        if changed:
            log.info("dags folder: %s", ", ".join(changed))
        return True

    def _once(self) -> list[str]:
        prefix = self._dags_path().strip("/")
        prefix = f"{prefix}/" if prefix else ""
        todo = plan(self._list(prefix), self._have)
        changed = []
        for path, etag in todo.fetch.items():
            if self._fetch(prefix + path, path):
                self._have[path] = etag
                changed.append(f"+{path}")
        for path in todo.remove:
            self._remove(path)
            del self._have[path]
            changed.append(f"-{path}")
        if changed:
            draft = self._memory.with_name(self._memory.name + ".new")
            draft.write_text(json.dumps(self._have))
            draft.replace(self._memory)
        return changed

    def _list(self, prefix: str) -> dict[str, str]:
        found = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for item in page.get("Contents", []):
                path = relative_path(item["Key"], prefix)
                if path is not None:
                    found[path] = item["ETag"]
                elif not item["Key"].endswith("/") and item["Key"] not in self._refused:
                    self._refused.add(item["Key"])
                    log.warning("key %r cannot be a file in the dags folder", item["Key"])
        return found

    def _fetch(self, key: str, path: str) -> bool:
        target = self._folder / path
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return False  # deleted since the listing; the next look sees it
        try:
            self._make_folder(target.parent)
            _write(target, body)
        except OSError as exc:  # a file where a folder should be, a name too long for this system
            if key not in self._refused:
                self._refused.add(key)
                log.warning("key %r cannot be written: %s", key, exc)
            return False
        return True

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not folder.resolve().is_relative_to(self._folder):
            raise OSError(f"{folder} leads out of the dags folder")

    def _remove(self, path: str) -> None:
        target = self._folder / path
        if not target.parent.resolve().is_relative_to(self._folder):
            return
        target.unlink(missing_ok=True)
        for parent in target.parents:
            if parent == self._folder or any(parent.iterdir()):
                break
            parent.rmdir()

    def _remember(self) -> dict[str, str]:
        try:
            have: dict[str, str] = json.loads(self._memory.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {path: etag for path, etag in have.items() if (self._folder / path).is_file()}


def _write(target: Path, body: bytes) -> None:
    """Write so that nobody ever sees half a file; Airflow skips a name that does not end in .py or .zip."""
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        Path(draft).chmod(0o644)
        Path(draft).replace(target)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
