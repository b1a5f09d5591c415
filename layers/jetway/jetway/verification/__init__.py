"""Whether what was promoted works in the environment; what does not is rolled back.

verifier          looks at what is due, and acts
update_verifier   whether an update has broken anything
reinstatement     a version that was rolled back for the error of another file
no_answer         what is rolled back without an answer from Airflow
outcome_records   report, event and tag of a version say the same
"""
