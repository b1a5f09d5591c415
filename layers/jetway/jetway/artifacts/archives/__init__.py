"""Zip files within bounds: their members, and the faults of their structure."""
