"""Activations: functions, modules, and what follows from each.

`ACTIVATIONS` has them by name. PyTorch's own modules are used where they are right at every finite
input, in value, derivative and second derivative; `functions` has the others, and `Elementwise`
makes a module of any.
"""

from talweg.activations import functions
from talweg.activations.activation import Activation, Properties, gain
from talweg.activations.modules import Elementwise, Maxout, RReLU, SoftExponential
from talweg.activations.table import ACTIVATIONS

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Elementwise",
    "Maxout",
    "Properties",
    "RReLU",
    "SoftExponential",
    "functions",
    "gain",
]
