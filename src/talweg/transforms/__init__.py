"""Transforms: rules around rules."""

from talweg.transforms.ascent import Ascent
from talweg.transforms.average import WeightAverage
from talweg.transforms.base import Transform
from talweg.transforms.clip import ClipValue
from talweg.transforms.lookahead import Lookahead
from talweg.transforms.on_tensors import OnTensors
from talweg.transforms.weight_decay import WeightDecay

__all__ = [
    "Ascent",
    "ClipValue",
    "Lookahead",
    "OnTensors",
    "Transform",
    "WeightAverage",
    "WeightDecay",
]
