"""From a message of the dispatch queue to the run of a DAG: once, in order, or not at all and why."""
