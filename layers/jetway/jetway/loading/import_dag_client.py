"""The functions import_dag, one for each major version of Airflow: asked to load, and their answer read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jetway.errors import LoadUnavailableError
from jetway.loading.responses import checked

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

# A synchronous request may have 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MOST_INLINE = 3 * 1024**2
_URL_SECONDS = 300
# How a function ends that what was loaded before has exhausted, and that is no fault of who comes next
# (jetway_loader.sandbox.SPENT). A fresh sandbox is tried; several may be spent, and warm.
_SPENT = "exit status 75"
_MOST_TRIES = 6
_MOST_AT_ONCE = 50  # files in one request: it may take two minutes
BUNDLES = "bundles/"


@dataclass(frozen=True, slots=True)
class LoadAnswer:
    """What import_dag says of one file.

    Attributes:
        loaded: `jetway_loader.model.Loaded` as JSON; None when the function died of the file, twice.
        airflow_version: that loaded it.
        died: how the function ended the second time, when it did.
    """

    loaded: Mapping[str, Any] | None
    airflow_version: str | None = None
    died: str | None = None


class LoadFunctions:
    """Asks import_dag.

    Args:
        client: the Lambda client; its read timeout must be longer than the functions' timeout.
        s3: puts bundles that are too large for a request, and signs their addresses.
        bucket: where those go.
        functions: major version of Airflow → name or ARN of the function that has it; at least one.
    """

    def __init__(self, client: LambdaClient, s3: S3Client, bucket: str, functions: Mapping[int, str]) -> None:
        self._client, self._s3, self._bucket = client, s3, bucket
        self._functions = functions
        self._sent: str | None = None

    def nearest(self, major: int) -> str:
        """The function for that major version of Airflow, or the nearest there is."""
        return self._functions[min(self._functions, key=lambda there: abs(there - major))]

    def load_each(
        self,
        function: str,
        bundle: bytes,
        files: Sequence[str],
        options: Mapping[str, Any],
        plugins: bytes | None = None,
    ) -> dict[str, LoadAnswer]:
        """Load several files of a bundle, many at once if none of them ends the function.

        Args:
            function: that loads.
            bundle: the dags folder, zipped.
            files: paths in it.
            options: of `jetway_loader.model.Options`.
            plugins: the modules of plugins.zip, zipped.

        Raises:
            LoadUnavailableError: throttled, or the function does not work whatever the files are.
        """
        found: dict[str, LoadAnswer] = {}
        for start in range(0, len(files), _MOST_AT_ONCE):
            some = files[start : start + _MOST_AT_ONCE]
            answer, died = self._invoke(function, self._question(bundle, some, options, plugins))
            if died is not None:
                found |= {file: self.load(function, bundle, [file], options, plugins) for file in some}
                continue
            version, all_loaded = checked(function, answer, some)
            found |= {loaded["path"]: LoadAnswer(loaded, airflow_version=version) for loaded in all_loaded}
        return found

    def load(
        self,
        function: str,
        bundle: bytes,
        files: Sequence[str],
        options: Mapping[str, Any],
        plugins: bytes | None = None,
        *,
        what: str | None = None,
    ) -> LoadAnswer:
        """Load one file of a bundle, or what is no DAG file.

        Args:
            function: that loads.
            bundle: the dags folder, zipped.
            files: the file's path in it, as the only item; none with `what`.
            options: of `jetway_loader.model.Options`.
            plugins: the modules of plugins.zip, zipped.
            what: "plugins" or "local-settings".

        Raises:
            LoadUnavailableError: throttled, or the function does not work whatever the file is.
        """
        question = self._question(bundle, files, options, plugins) | {"load": what}
        answer, died = self._invoke(function, question)
        if died is not None:
            # Its own fault, or the file's? Without a file it must work.
            empty = {"bundle": {"zip": base64.b64encode(_EMPTY).decode()}, "files": [], "options": options}
            _, broken = self._invoke(function, empty)
            if broken is not None:
                raise LoadUnavailableError(f"{function} does not work: {broken}")
            # A sandbox may be lost for reasons of its own: only what dies in a fresh one, too, dies of the file.
            answer, died = self._invoke(function, question)
        if died is not None:
            return LoadAnswer(None, died=died)
        version, (loaded,) = checked(function, answer, files or [None])
        return LoadAnswer(loaded, airflow_version=version)

    def _question(
        self, bundle: bytes, files: Sequence[str], options: Mapping[str, Any], plugins: bytes | None
    ) -> dict[str, Any]:
        packed, room = self._bundle(bundle, _MOST_INLINE), _MOST_INLINE - len(bundle)
        question = {"bundle": packed, "files": files, "options": options}
        if plugins is not None:
            question["plugins"] = self._bundle(plugins, room if "zip" in packed else _MOST_INLINE)
        return question

    def _bundle(self, content: bytes, most: int) -> dict[str, str]:
        if len(content) <= most:
            return {"zip": base64.b64encode(content).decode()}
        key = f"{BUNDLES}{hashlib.sha256(content).hexdigest()}.zip"
        if key != self._sent:  # plugins are the same for many files
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType="application/zip")
            self._sent = key
        address = {"Bucket": self._bucket, "Key": key}
        return {"url": self._s3.generate_presigned_url("get_object", Params=address, ExpiresIn=_URL_SECONDS)}

    def _invoke(self, function: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """The answer, and how the function died if it did, in a sandbox that was not spent."""
        died: str | None = None
        for _ in range(_MOST_TRIES):
            answer, died = self._invoke_once(function, request)
            if died is None or _SPENT not in died:
                return answer, died
        raise LoadUnavailableError(f"{function} has no fresh sandbox: {died}")

    def _invoke_once(self, function: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        try:
            answer = self._client.invoke(FunctionName=function, Payload=json.dumps(request).encode())
            payload = json.loads(answer["Payload"].read())
        except (ClientError, BotoCoreError, ValueError, RecursionError) as exc:
            raise LoadUnavailableError(f"{function} cannot be invoked: {exc}") from exc
        said = payload if isinstance(payload, dict) else {}
        if "FunctionError" not in answer:
            return said, None
        return {}, f"{said.get('errorType', answer['FunctionError'])}: {said.get('errorMessage', 'no reason given')}"


# An empty zip file is its end-of-directory record only.
_EMPTY = b"PK\x05\x06" + bytes(18)
