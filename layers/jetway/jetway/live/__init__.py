"""What is live: how an artifact stands, whether it works in the environment, and how the previous one comes back.

standing   facts of one artifact, and how they change (pure)
table      the standings, in DynamoDB
verdicts   what import errors and missing DAGs mean for what was promoted (pure)
restore    the previous version comes back, or the object goes
verifier   looks at what is due, and acts
news       events and messages on all that
"""
