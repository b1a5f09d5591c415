"""Write what distributions bring that Jetway stands in for, module by module and name by name (`make module-contents`).

Of the providers that people add most, at the versions of Airflow's own constraints, and of what import_dag's layers
have no room for. Read from their wheels, which pip fetches and nobody installs. What is not in it is read from the
wheel when a requirements.txt is resolved; where that cannot be, it is unknown.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from jetway.artifacts.archives.zip_reader import ZipReader
from jetway.artifacts.requirements.contents import Contents, contents_of
from tools import venvs
from tools.generate.airflow_lists import VERSIONS
from tools.generate.mwaa_packages import DATA, ROOT

CONTENTS = ROOT / "layers/jetway/jetway/artifacts/requirements/contents.json"

PROVIDERS = (
    *("apache-hdfs", "apache-hive", "apache-kafka", "apache-livy", "apache-spark", "airbyte", "cncf-kubernetes"),
    *("databricks", "datadog", "dbt-cloud", "docker", "elasticsearch", "git", "github", "google", "hashicorp", "jdbc"),
    *("jenkins", "microsoft-azure", "microsoft-mssql", "mongo", "mysql", "odbc", "openlineage", "opsgenie", "oracle"),
    *("pagerduty", "papermill", "presto", "redis", "salesforce", "sftp", "slack", "snowflake", "ssh", "tableau"),
    *("telegram", "trino"),
)
LEFT_OUT_OF_LAYERS = ("grpcio", "psycopg", "psycopg-binary", "pycurl", "uvloop")  # NO_ROOM of layers/build_airflow.py


def wanted(version: str) -> list[str]:
    """Return what is read for one Airflow version, as name==version."""
    packages = json.loads((DATA / f"{version}.json").read_text())
    names = [*(f"apache-airflow-providers-{name}" for name in PROVIDERS), *LEFT_OUT_OF_LAYERS]
    pins = {**packages["constraints"], **packages["installed"]}
    return [f"{name}=={pins[name]}" for name in names if name in pins]


def read(folder: Path) -> Iterator[tuple[str, Contents]]:
    """Read the wheels of a folder: name==version, and what it brings."""
    for wheel in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with wheel.open("rb") as stream:
            yield f"{canonicalize_name(name)}=={version}", contents_of(ZipReader(stream, wheel.stat().st_size))


def main() -> int:
    """Fetch, read, write."""
    command = [venvs.python_with_pip(), "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--python-version", "3.12"]
    for platform in ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64"):
        command += ["--platform", platform]
    with tempfile.TemporaryDirectory() as folder:
        for version in VERSIONS:
            done = subprocess.run([*map(str, command), "--dest", folder, *wanted(version)], check=False)
            if done.returncode:
                return 1
        found = dict(read(Path(folder)))
    lines = (f"{json.dumps(name)}: {json.dumps(one.as_json(), sort_keys=True)}" for name, one in found.items())
    CONTENTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(found)} distributions, {CONTENTS.stat().st_size:,} bytes → {CONTENTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
