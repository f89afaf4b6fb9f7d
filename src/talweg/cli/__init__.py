"""The command line: thin commands over the Python API."""

from talweg.cli.main import main

__all__ = ["main"]
