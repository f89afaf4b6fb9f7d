"""Activations and schedules on one page, made to be looked at: `write`."""

from talweg.atlas.page import write

__all__ = ["write"]
