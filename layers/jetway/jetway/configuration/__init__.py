"""Configuration files of the drop bucket (access.yaml, alarms.yaml, floors.yaml): read, and the last good one kept."""
