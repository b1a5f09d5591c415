"""Stand-ins for AWS and MWAA on this machine: MiniStack as strict as AWS, and MWAA's APIs before a real Airflow.

It knows nothing of Jetway; what it needs to know, such as the packages of an MWAA image, is handed to it.
"""
