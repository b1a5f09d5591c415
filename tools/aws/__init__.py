"""Deploys to an AWS account, and asks one how it behaves (conformance)."""
