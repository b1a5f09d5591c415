"""Jetway: events to Airflow runs, files to live DAGs, workers to evidence, on Amazon MWAA."""

__version__ = "0.1.0"
