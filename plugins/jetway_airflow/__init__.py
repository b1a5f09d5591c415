"""Jetway for DAG files: start runs in any environment that has Jetway, wait for their end, report run states."""
