"""Loads DAG files with the real Airflow, as the environment would, and says what came of each.

    python -m jetway_loader FOLDER [FILES...] --json

Needs the standard library and an installed Airflow (2.9 or newer) only, so it runs in any virtual environment that
has one, and in the function import_dag with Airflow in a layer.

    settings.py    what must be set before Airflow is imported
    airflow_api.py the few names of Airflow that differ from version to version
    children.py    one forked child for each file, killed from outside at its time limit
    jail.py        what such a child cannot do to its parent, and to who comes next
    answers.py     what it tells, looked at before it is believed
    sandbox.py     the folder for temporary files, clean before each load
    parsing.py     what a child does: the file goes through Airflow's own DAG processor
    unseen.py      Variables, Connections and environment variables that are not here
    inventory.py   what is known of packages that the environment has and this machine has not
    standin_modules.py  their modules, and which names those have
    standins.py    what such a name gives
    task_decorators.py  what providers that are not here register
    sightings.py   where DAGs, tasks and dependencies are made, and where something unseen was asked for
    certainty.py   whether something unseen may have led to an error: asked in the child
    causes.py      what an error is about
    influence.py   what may be made of unseen values, and what those decide: read from the text, with
                   names.py, references.py and scopes.py
    faults.py      what an error means: its rule, line and remedy
    verdicts.py    from what a child has told to a verdict
    loading.py     all of it together

Nothing here runs user code in the process that judges it.
"""
