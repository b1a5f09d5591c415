"""Runs that Jetway has not started: their ends are told, failures alarmed, and DAGs that did not run are missed.

alarms_file alarms.schema.json   alarms.yaml: owners, opt-outs, and by when a DAG is to have run
deadlines                        the moments that `expect` means
state_table                      how far Airflow was looked through, and what was told: one row of the ledger's table
notifications                    events and mails
monitor                          the look of every minute
all_runs                         the same, as alarms.yaml and the transport have it
"""
