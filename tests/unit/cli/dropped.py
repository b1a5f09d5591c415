"""One good file of each kind that the drop bucket takes, by its key there."""

from __future__ import annotations

from pathlib import Path

from tests.unit.artifacts.zips import PLUGIN, zip_of

DAG = 'from airflow.sdk import DAG\nwith DAG("{}"):\n    pass\n'
FILES: dict[str, bytes] = {
    "dags/orders.py": DAG.format("orders").encode(),
    "dags/packed.zip": zip_of({"packed.py": DAG.format("packed").encode()}),
    "dags/tables/regions.csv": b"id,name\n1,north\n",
    "requirements.txt": b"simplejson==3.19.3\n",
    "plugins.zip": zip_of({"acme.py": PLUGIN}),
    "startup.sh": b"#!/bin/sh\nexport REGION=north\n",
    "triggers/nightly.yaml": b"dag: orders\non: {schedule: {cron: '0 6 ? * MON-FRI *'}}\n",
    "access.yaml": b"allow:\n  - {iam: 'arn:aws:iam::111122223333:role/billing', dags: [orders]}\n",
    "alarms.yaml": b"dags:\n  orders: {owners: [ann], expect: {by: '06:00', days: weekdays}}\n",
    "floors.yaml": b"timezone: Europe/Vienna\nfloors:\n  - {days: weekdays, from: '05:30', to: '08:00', min: 6}\n",
}


def write(folder: Path) -> Path:
    """Write all of them below a folder, and return that."""
    for key, content in FILES.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)
    return folder
