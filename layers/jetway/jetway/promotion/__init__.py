"""From a judged file to the environment's bucket, and back: what is live of each artifact, and what people hear of it.

copy              promotion and quarantine, as server-side copies of exactly one version
artifact_state    facts of one artifact, and how they change (pure)
state_table       these states, in DynamoDB
reconciliation    what is left to be done about a key: drop bucket, environment bucket and state have to agree (pure)
restore           the previous version comes back, or the object goes
rollout           how far a promoted version is on its way into force
manual_changes    objects that did not come through the drop bucket: reported, and left alone
reports           the report of one judgement, as JSON; report_markdown writes it for people
verdict_tag       the tag on the dropped object
notifications     events and messages about all that
"""
