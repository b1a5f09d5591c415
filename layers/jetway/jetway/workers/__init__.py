"""How many workers the environment needs, measured, shown and, where it is wanted, set."""
