"""What Airflow's import errors and missing DAGs mean: which promoted version is the cause, if any. Knows no table.

attribution       from import errors to versions (pure)
traceback_files   the files that an import error went through (pure)
missing_files     files that an import error misses, and whether they are on their way
intermittent      import errors that come and go
"""
