"""Diagnosis: what goes wrong in training, measured and told.

`watch` measures any training loop from beside it. Measurements are in `measures`, what is said of
them in `findings`, one per file.
"""

from talweg.diagnose.attenuation import a_layer, blocked_layers, gradients_by_layer
from talweg.diagnose.beginning import Beginning, beginning
from talweg.diagnose.findings import DIAGNOSES, Finding, persisting
from talweg.diagnose.health import Health
from talweg.diagnose.moment import Layer, Moment, Setting
from talweg.diagnose.probe import Probe
from talweg.diagnose.watch import watch

__all__ = [
    "DIAGNOSES",
    "Beginning",
    "Finding",
    "Health",
    "Layer",
    "Moment",
    "Probe",
    "Setting",
    "a_layer",
    "beginning",
    "blocked_layers",
    "gradients_by_layer",
    "persisting",
    "watch",
]
