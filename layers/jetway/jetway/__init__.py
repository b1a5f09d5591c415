"""Jetway: events to Airflow runs, files to live DAGs, workers to evidence, on Amazon MWAA."""
