"""Loading DAG files with the real Airflow, seen from the gate.

    folder.py    a copy of the dags folder as it will be: what is live, and above it what has just been dropped
    function.py  the functions import_dag, one for each major version of Airflow
    options.py   which options of the environment it is told
    answers.py   its answers, looked at before they are believed
    verdict.py   what the static check and the load say together
    readers.py   which DAG files read a data file
    data_files.py  data files and .airflowignore, judged by the DAG files that they concern
    loader.py    all of it: the step that the gate is given

The other side is `jetway_loader` (layers/loader), which runs where the files' code runs.
"""
