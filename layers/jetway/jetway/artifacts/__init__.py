"""What may go live: one module per kind of artifact, each a pure check from bytes and facts to findings.

Nothing here runs the artifact's code or talks to AWS. `jetway.artifacts.kinds` knows which check is for
which key; `jetway.gate` fetches, judges, promotes or quarantines, and reports.
"""
