"""What is measured, one measurement per file. Adding one takes its file and a twin in the tests."""

from talweg.core import Registry
from talweg.diagnose.measures.activity import DEVIATION, MEAN, SPARSITY
from talweg.diagnose.measures.dead import DEAD
from talweg.diagnose.measures.measure import Activity, OfActivity, OfStep, Step, Tier
from talweg.diagnose.measures.saturated import SATURATED
from talweg.diagnose.measures.signs import ONE_SIGNED
from talweg.diagnose.measures.sizes import GRADIENT, UPDATE, WEIGHT

OF_ACTIVITY: Registry[OfActivity] = Registry("measurement")
for _each in (MEAN, DEVIATION, SPARSITY, DEAD, SATURATED):
    OF_ACTIVITY.add(_each.name, _each)
OF_STEP: Registry[OfStep] = Registry("measurement")
for _one in (GRADIENT, WEIGHT, UPDATE, ONE_SIGNED):
    OF_STEP.add(_one.name, _one)

__all__ = ["OF_ACTIVITY", "OF_STEP", "Activity", "OfActivity", "OfStep", "Step", "Tier"]
