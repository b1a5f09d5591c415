"""Valid trigger files, one for every corner of the vocabulary."""

from __future__ import annotations

from typing import Any

S3 = {"s3": {"bucket": "acme-landing", "key": {"prefix": "incoming/orders/", "suffix": ".csv"}}}

DOCUMENTS: list[dict[str, Any]] = [
    {"dag": "ingest_orders", "on": S3},
    {
        "dag": "ingest_orders",
        "on": S3,
        "conf": {"path": "s3://{{ bucket }}/{{ key }}", "n": [1, None, {"a": "<x> \\{{ ds }}"}]},
        "each": True,
        "expect": {"within": "25h"},
        "limits": {"max_event_age": "24h", "rate": "10/min"},
        "enabled": False,
    },
    {"dag": "a.b-c", "on": {"s3": {"bucket": ["acme-a", "acme-b"]}}, "batch": {"max_events": 500, "within": "5m"}},
    {
        "dag": "übung",
        "on": {
            "s3": {
                "bucket": "acme",
                "key": [
                    "exact.csv",
                    {"prefix": "a*b\\"},
                    {"suffix": ".csv"},
                    {"wildcard": "in/*/x-\\*.csv"},
                    {"anything-but": {"suffix": [".tmp", ".part"]}},
                    {"anything-but": "x"},
                    {"anything-but": ["x", "y"]},
                    {"anything-but": {"wildcard": "*/tmp/*"}},
                ],
            }
        },
    },
    {
        "dag": "close_books",
        "on": {
            "event": {
                "source": ["acme.billing"],
                "detail-type": ["InvoiceClosed"],
                "detail": {
                    "total": [{"numeric": [">", 100]}, {"numeric": [">=", 0, "<", 0.5]}],
                    "state": [{"anything-but": ["draft", "void"]}, None, True, 3],
                    "id": [{"prefix": {"equals-ignore-case": "INV-"}}, {"suffix": "-a"}, {"equals-ignore-case": "x"}],
                    "ip": [{"cidr": "10.0.0.0/24"}],
                    "at": [{"exists": False}],
                    "path": [{"wildcard": "a/*/b"}, {"anything-but": {"prefix": "tmp"}}, {"anything-but": 5}],
                    "$or": [{"a": [1]}, {"b": {"c": ["x"]}}],
                },
                "bus": "acme/orders.v1",
            }
        },
        "conf": {"invoice": "{{ detail.id }}"},
    },
    {"dag": "nightly", "on": {"schedule": {"cron": "0 6 ? * MON-FRI *", "timezone": "Europe/Vienna"}}},
    {"dag": "often", "on": {"schedule": {"rate": "15m"}}, "limits": {"rate": "1/d"}},
    {"dag": "once", "on": {"schedule": {"at": "2030-12-24T18:00:00", "timezone": "America/New_York"}}},
    {"dag": "hook", "on": {"http": {"auth": "hmac"}}},
    {"dag": "chain", "on": {"event": {"source": ["jetway"], "detail-type": ["DagRunSucceeded"]}}},
]
