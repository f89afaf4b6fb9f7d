"""What goes wrong in training: one diagnosis per file.

Adding one takes its file, a line here, and its disease in the tests.
"""

from talweg.core import Registry
from talweg.diagnose.findings.dead import Dead
from talweg.diagnose.findings.exploding import Exploding
from talweg.diagnose.findings.finding import (
    SEVERITIES,
    Course,
    Diagnosis,
    Finding,
    Severity,
    Sign,
    persisting,
    settled,
)
from talweg.diagnose.findings.linear import NoActivation
from talweg.diagnose.findings.noisy import Noisy
from talweg.diagnose.findings.not_finite import NotFinite
from talweg.diagnose.findings.off_centre import OffCentre
from talweg.diagnose.findings.saturated import Saturated
from talweg.diagnose.findings.too_cold import TooCold
from talweg.diagnose.findings.too_hot import TooHot
from talweg.diagnose.findings.vanishing import Vanishing
from talweg.diagnose.findings.wrong_start import WrongStart

DIAGNOSES: Registry[Diagnosis] = Registry("finding", "talweg list findings")
"""Every diagnosis with its usual thresholds, by the name of what it finds."""
for _each in (
    NotFinite(),
    Exploding(),
    Vanishing(),
    Dead(),
    Saturated(),
    TooHot(),
    TooCold(),
    WrongStart(),
    NoActivation(),
    OffCentre(),
    Noisy(),
):
    DIAGNOSES.add(_each.name, _each)

__all__ = [
    "DIAGNOSES",
    "SEVERITIES",
    "Course",
    "Dead",
    "Diagnosis",
    "Exploding",
    "Finding",
    "NoActivation",
    "Noisy",
    "NotFinite",
    "OffCentre",
    "Saturated",
    "Severity",
    "Sign",
    "TooCold",
    "TooHot",
    "Vanishing",
    "WrongStart",
    "persisting",
    "settled",
]
