"""DAG files may import what lies at the root of plugins.zip."""

from __future__ import annotations

import pytest

from jetway.artifacts.plugin_modules import plugin_modules, root_modules

from .buckets import LIVE, Buckets
from .judging import AIRFLOW_3
from .zips import zip_of


@pytest.mark.parametrize(
    ("names", "modules"),
    [
        ([], set()),
        (["menu.py", "acme/__init__.py", "acme/views.py", "acme/data.json"], {"menu", "acme"}),
        (["deep/er/module.py"], {"deep"}),
        (["wheels/x-1-py3-none-any.whl", "constraints.txt", ".airflowignore"], set()),
        (["not-a-name.py", "two words/x.py", "1.py"], set()),
    ],
)
def test_modules_and_packages_at_the_root_are_found(names: list[str], modules: set[str]) -> None:
    assert root_modules(names) == modules


def test_the_promoted_zip_is_read(world: Buckets) -> None:
    assert plugin_modules(world.s3, AIRFLOW_3) == set()
    content = zip_of({"jetway_plugin.py": b"", "jetway_airflow/client.py": b""})
    world.s3.put_object(Bucket=LIVE, Key="plugins.zip", Body=content)
    assert plugin_modules(world.s3, AIRFLOW_3) == {"jetway_plugin", "jetway_airflow"}
    world.s3.put_object(Bucket=LIVE, Key="plugins.zip", Body=b"no zip")
    assert plugin_modules(world.s3, AIRFLOW_3) == set()
