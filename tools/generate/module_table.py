"""Write which modules the distributions of MWAA's images bring (`make module-table`).

Read from the virtual environments that the local stack runs Airflow in: what is installed there says it itself. What
they have not is in the table's second part, which is kept by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tools import venvs
from tools.generate.mwaa_packages import ROOT

TABLE = ROOT / "layers/jetway/jetway/artifacts/requirements/modules.json"
VERSIONS = ("2.11.2", "3.3.1")

# Runs in the other interpreter.
_ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from importlib.metadata import distributions
from jetway.artifacts.requirements.wheel_modules import modules_in
from packaging.utils import canonicalize_name
found = {canonicalize_name(one.name): sorted(modules_in(map(str, one.files or ()))) for one in distributions()}
print(json.dumps(found))
"""


def main() -> int:
    """Write the first part; keep the second."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {"seen": {}, "known": {}}
    seen: dict[str, set[str]] = {}
    for version in VERSIONS:
        python = venvs.ensure(f"airflow-{version}")
        done = subprocess.run(
            [python, "-c", _ASK, str(ROOT / "layers/jetway")], capture_output=True, text=True, check=True
        )
        for name, modules in json.loads(done.stdout).items():
            seen.setdefault(name, set()).update(modules)
    table["seen"] = {name: sorted(modules) for name, modules in sorted(seen.items()) if modules}
    table["known"] = dict(sorted(table["known"].items()))
    parts = (
        f"{json.dumps(part)}: {{\n"
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(modules)}" for name, modules in table[part].items())
        + "\n}"
        for part in ("seen", "known")
    )
    TABLE.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    print(f"{len(table['seen'])} distributions → {TABLE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
