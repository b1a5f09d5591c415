"""Python files, read without running them: syntax, DAGs, names, work at the top level."""
