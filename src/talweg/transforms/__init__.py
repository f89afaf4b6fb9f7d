"""Transforms: rules around rules."""

from talweg.transforms.ascent import Ascent
from talweg.transforms.average import WeightAverage
from talweg.transforms.base import Transform
from talweg.transforms.centralise import Centralise
from talweg.transforms.clip import ClipValue
from talweg.transforms.clip_norm import ClipNorm
from talweg.transforms.lookahead import Lookahead
from talweg.transforms.on_tensors import OnTensors, on_rows
from talweg.transforms.weight_decay import WeightDecay

__all__ = [
    "Ascent",
    "Centralise",
    "ClipNorm",
    "ClipValue",
    "Lookahead",
    "OnTensors",
    "Transform",
    "WeightAverage",
    "WeightDecay",
    "on_rows",
]
