"""Runs that Jetway has not started: their ends are told, failures alarmed, and DAGs that did not run are missed.

alarms_file alarms.schema.json   alarms.yaml: owners, opt-outs, and by when a DAG is to have run
deadlines                        the moments that `expect` means
memory                           how far Airflow was looked through, and what was told: one row of the ledger's table
news                             events and mails
look                             the look of every minute
all_runs                         the same, as alarms.yaml and the transport have it
"""
