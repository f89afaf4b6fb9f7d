"""Landscapes: test functions with known minima, to race rules on."""

from talweg.landscapes.functions import LineFit, Quadratic
from talweg.landscapes.landscape import Landscape
from talweg.landscapes.table import LANDSCAPES, quadratic

__all__ = ["LANDSCAPES", "Landscape", "LineFit", "Quadratic", "quadratic"]
