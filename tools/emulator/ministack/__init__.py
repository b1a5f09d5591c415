"""MiniStack, and what it has to refuse as AWS does. `server` runs in the virtual environment of MiniStack."""
