"""``python -m talweg``."""

from talweg.cli import main

main()
