"""What AWS's services are talked to with: plumbing that knows nothing of runs or artifacts."""
