"""How far the gate agrees with real Airflow: on the example DAGs that ship with it, and on mutants of them."""
