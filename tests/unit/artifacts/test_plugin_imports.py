"""Imports of plugins that nothing is known to bring are told where no Airflow loads them."""

from __future__ import annotations

import pytest

from jetway.artifacts.findings import Candidate, Finding
from jetway.artifacts.plugins.plugin_imports import imports_of
from jetway.artifacts.plugins.plugins_zip import check_plugins

from .judging import AIRFLOW_2_ON_PYTHON_3_11, AIRFLOW_3
from .zips import PLUGIN, zip_of


def found(files: dict[str, bytes], environment: object = AIRFLOW_3) -> list[Finding]:
    content = zip_of(files)
    judged = check_plugins(Candidate("plugins.zip", len(content), content), environment)  # type: ignore[arg-type]
    assert judged.verdict == "accepted"
    return [finding for finding in judged.findings if finding.rule == "missing-module"]


@pytest.mark.parametrize("environment", [AIRFLOW_2_ON_PYTHON_3_11, AIRFLOW_3])
def test_a_plugin_that_imports_what_nobody_has_gets_a_warning(environment: object) -> None:
    (finding,) = found({"orders.py": b"import json\nimport a_package_nobody_has.x\n" + PLUGIN}, environment)
    assert (finding.line, finding.severity) == (2, "warning")
    assert finding.message.startswith("orders.py: No module named 'a_package_nobody_has'")


@pytest.mark.parametrize(
    "text",
    [
        b"import json, boto3, requests\nfrom airflow.models import Variable\n",
        b"import tables\nfrom acme import settings\nfrom acme.deep import x\nimport inner\n",
        b"from . import settings\nfrom .inner import x\n",
        b"try:\n    import nobody\nexcept ImportError:\n    nobody = None\n",
        b"if False:\n    import nobody\n",
        b"def f():\n    import nobody\n",
    ],
)
def test_what_is_there_or_is_not_imported_at_once_gets_none(text: bytes) -> None:
    files = {
        "orders.py": text + PLUGIN,
        "tables.py": b"",
        "acme/__init__.py": b"",
        "acme/inner.py": b"",
        "acme/deep.py": b"",
    }
    assert found(files) == []


def test_a_module_that_is_no_plugin_gets_none() -> None:
    assert found({"orders.py": b"import nobody\n", "menu.py": PLUGIN}) == []


def test_what_cannot_be_parsed_imports_nothing() -> None:
    assert imports_of(b"import (", "orders.py") == []
