"""Writes files of the repository from their sources: lists of packages, the OpenAPI document, tables of the docs."""
