"""Batches: many events, one run with a manifest; every event in exactly one started run.

`model` says what a batch is, `table` keeps claims and open batches in DynamoDB, `closing` turns a closed batch into
its manifest and its dispatch message, `collector` ties them together. docs/batches.md has the analysis of crashes.
"""
