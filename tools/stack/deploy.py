"""The real `sam build` and `sam deploy` of the real template.yaml, to the local stack's endpoint."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from tools.emulator.ministack.service import CREDENTIALS, REGION
from tools.venvs import ROOT

STACK_NAME = "jetway"


class DeployError(RuntimeError):
    """sam build or sam deploy failed; the text has the end of its output."""


def fingerprint(parameters: Mapping[str, str], *, tree: Path = ROOT) -> str:
    """Return a digest of all that a deployment is made of: template, functions, layer, parameters.

    Args:
        tree: the checkout that is deployed.
    """
    digest = hashlib.sha256(repr(sorted(parameters.items())).encode())
    for path in sorted(_sources(tree)):
        digest.update(str(path.relative_to(tree)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build(sam: Path, python: Path, *, folder: Path, airflow_version: str | None = None, tree: Path = ROOT) -> Path:
    """Run `sam build` and return the built template.

    Args:
        sam: the sam command.
        python: interpreter that has pip; the layer is built with it.
        folder: where the build goes.
        airflow_version: that import_dag loads DAG files with; none by default. MiniStack runs functions on this
            machine's Python.
        tree: the checkout that is built, with its own scripts.

    Raises:
        DeployError: sam build failed.
    """
    # sam remembers beside the build which sources the cache is of, and nothing of which Airflow was asked for.
    folder = folder / "-".join(["sam", airflow_version or "none", *([] if tree == ROOT else [tree.name])])
    template = folder / "build" / "template.yaml"
    _run(
        [sam, "build", "--build-dir", folder / "build", "--cache-dir", folder / "cache"],
        {
            "PYTHON": str(python),
            "UV_PLATFORM": "local",
            "AIRFLOW_LAYERS": airflow_version or "none",
            "AIRFLOW_LAYER_PYTHON": "local",
        },
        "sam build",
        tree,
    )
    return template


def deploy(sam: Path, template: Path, *, endpoint: str, parameters: Mapping[str, str], tree: Path = ROOT) -> None:
    """Run `sam deploy` of a built template against an AWS endpoint.

    A parameter that is not given has its default: sam deploy by itself would keep the value of the deployment before.

    Args:
        tree: the checkout that the template was built from.

    Raises:
        DeployError: sam deploy failed.
    """
    overrides = [f'{name}="{value}"' for name, value in sorted({**defaults(tree), **parameters}.items())]
    command: list[str | Path] = [sam, "deploy", "--template-file", template, "--stack-name", STACK_NAME]
    # sam would look for its configuration beside the built template.
    command += [
        "--config-file",
        tree / "samconfig.toml",
        "--region",
        REGION,
        "--no-progressbar",
        "--parameter-overrides",
        *overrides,
    ]
    _run(command, {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}, "sam deploy", tree)


def defaults(tree: Path = ROOT) -> dict[str, str]:
    """Return the defaults of template.yaml's parameters."""
    template = yaml.load((tree / "template.yaml").read_text(), _Loader)  # noqa: S506 - our own file, by a safe loader
    parameters: dict[str, dict[str, object]] = template["Parameters"]
    return {name: str(found["Default"]) for name, found in parameters.items() if "Default" in found}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short functions as nothing: parameters have none."""


_Loader.add_multi_constructor("!", lambda *_: None)


def _sources(tree: Path) -> Iterable[Path]:
    yield tree / "template.yaml"
    yield tree / "dashboard.yaml"
    yield tree / "samconfig.toml"
    yield from (tree / "requirements").glob("airflow-*.txt")
    for folder in ("functions", "layers"):
        for path in (tree / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _run(command: list[str | Path], extra_env: Mapping[str, str], what: str, folder: Path) -> None:
    env = {**os.environ, "SAM_CLI_TELEMETRY": "0", **CREDENTIALS, **extra_env}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise DeployError(f"{what} failed:\n{result.stdout[-4000:]}")
