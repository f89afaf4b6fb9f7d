"""Diagnosis: what goes wrong in training, measured and told.

`watch` measures any training loop from beside it. Measurements are in `measures`, what is said of
them in `findings`, one per file.
"""

from talweg.diagnose.attenuation import a_layer, blocked_layers, gradients_by_layer
from talweg.diagnose.beginning import Beginning, beginning
from talweg.diagnose.demos import DEMOS, Demo, Outcome
from talweg.diagnose.findings import DIAGNOSES, Finding, persisting
from talweg.diagnose.health import Health
from talweg.diagnose.moment import Layer, Moment, Setting
from talweg.diagnose.probe import Probe
from talweg.diagnose.verdict import by_name, verdict
from talweg.diagnose.watch import watch

__all__ = [
    "DEMOS",
    "DIAGNOSES",
    "Beginning",
    "Demo",
    "Finding",
    "Health",
    "Layer",
    "Moment",
    "Outcome",
    "Probe",
    "Setting",
    "a_layer",
    "beginning",
    "blocked_layers",
    "by_name",
    "gradients_by_layer",
    "persisting",
    "verdict",
    "watch",
]
