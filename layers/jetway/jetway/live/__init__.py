"""What is live: how an artifact stands, whether it works in the environment, and how the previous one comes back.

standing   facts of one artifact, and how they change (pure)
settling   what is left to be done about a key: the drop bucket, the environment's and the standing have to agree (pure)
by_hand    what was put there past the drop bucket: told, and left
table      the standings, in DynamoDB
verdicts   what import errors and missing DAGs mean for what was promoted (pure)
missing    files that an import error misses, and whether they are on their way
restore    the previous version comes back, or the object goes
verifier   looks at what is due, and acts
news       events and messages on all that

of requirements.txt, plugins.zip and startup.sh, beside `jetway.updates`:
update_record     the one update that is on its way, and what is owed
update_plan       what is next, and when (pure)
update_acts       what is decided is done: update_idle, update_calls, update_ends, with update_hand at hand
update_standings  how standings change by it
update_outlook    what updates mean for files that are being verified (pure)
update_verifier   whether it has broken anything
undo              the versions of an update are given up
sameness          whether an update would change anything
"""
