"""startup.sh: whether bash can read it, and what it does to MWAA's own start."""
