"""`python -m jetway_cli`."""

from jetway_cli import main

main()
