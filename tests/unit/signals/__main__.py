"""`python -m tests.unit.signals` writes docs/signals.md of table.yaml."""

from tests.unit.signals.table import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page())
