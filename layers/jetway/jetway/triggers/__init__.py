"""Trigger files: read, checked, and turned into AWS resources."""
