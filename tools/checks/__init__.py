"""Checks of the house itself: scanners, linters of templates, coverage, mutants, the list of permissions."""
