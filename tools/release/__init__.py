"""Releases: what is built for one, and whether a stack of the version before becomes one of this version, and back."""
