"""Activation functions by name, and the initialisation gain that follows from each."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from talweg.core import Registry

ACTIVATIONS: Registry[Callable[[], nn.Module]] = Registry("activation")
for _name, _module in (
    ("identity", nn.Identity),
    ("sigmoid", nn.Sigmoid),
    ("tanh", nn.Tanh),
    ("softsign", nn.Softsign),
    ("relu", nn.ReLU),
    ("leaky-relu", nn.LeakyReLU),
    ("elu", nn.ELU),
    ("selu", nn.SELU),
    ("celu", nn.CELU),
    ("gelu", nn.GELU),
    ("silu", nn.SiLU),
    ("mish", nn.Mish),
    ("softplus", nn.Softplus),
    ("hardtanh", nn.Hardtanh),
):
    ACTIVATIONS.add(_name, _module)


def gain(activation: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """The factor that keeps the signal's size through a layer: ``1/√E[f(z)²]``, z ~ N(0, 1).

    He et al. (2015) derive it for ReLU, where it is √2.

    >>> round(gain(torch.nn.ReLU()), 3)
    1.414
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    with torch.no_grad():
        values = activation(torch.from_numpy(nodes)).numpy()
    return float(((values**2 * weights).sum() / weights.sum()) ** -0.5)
