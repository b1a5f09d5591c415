"""Loads replayed through MWAA's documented autoscaling, with and without scale_workers (`make bench-workers`)."""
