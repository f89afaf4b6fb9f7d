"""Transforms: rules around rules."""

from talweg.transforms.ascent import Ascent
from talweg.transforms.base import Transform
from talweg.transforms.weight_decay import WeightDecay

__all__ = ["Ascent", "Transform", "WeightDecay"]
