"""requirements.txt, plugins.zip and startup.sh, which take an update of the environment to be in force.

apply             what apply_updates calls: artifacts and the bounds of scaling in one update, one at a time
record            the one update that is on its way, and what is owed
plan              what is next, and when (pure)
actions           carries the plan out: idle, calls, completion, with `context` in hand
artifact_states   how the states of artifacts change by it
outlook           what updates mean for files that are being verified (pure)
revert            the versions of an update are given up
same_content      whether an update would change anything
install_log       what MWAA logs of pip
"""
