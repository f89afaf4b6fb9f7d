"""The activations that have a name."""

from functools import partial

import torch
from torch import nn

from talweg.activations.activation import Activation
from talweg.activations.functions import (
    bent_identity,
    binary_step,
    gaussian,
    gelu,
    gelu_tanh,
    hard_sigmoid,
    hard_swish,
    mish,
    sinc,
    softsign,
)
from talweg.activations.modules import Elementwise, Maxout, RReLU, SoftExponential
from talweg.core import Registry

ACTIVATIONS: Registry[Activation] = Registry("activation", "talweg list activations")
for _entry in (
    Activation("identity", nn.Identity, "x"),
    Activation("binary-step", partial(Elementwise, binary_step), "0 for x < 0, 1 for x ≥ 0"),
    Activation("sigmoid", nn.Sigmoid, "1/(1 + e⁻ˣ)"),
    Activation("tanh", nn.Tanh, "tanh x = 2·sigmoid(2x) − 1"),
    Activation("arctan", partial(Elementwise, torch.arctan), "arctan x"),
    Activation("softsign", partial(Elementwise, softsign), "x/(1 + |x|)", "Turian et al. (2009)"),
    Activation("relu", nn.ReLU, "max(0, x)", "Nair & Hinton (2010)"),
    Activation("relu6", nn.ReLU6, "min(max(0, x), 6)", "Krizhevsky (2010)"),
    Activation("leaky-relu", nn.LeakyReLU, "x for x ≥ 0, 0.01·x below", "Maas et al. (2013)"),
    Activation("prelu", nn.PReLU, "x for x ≥ 0, α·x below; α is learned", "He et al. (2015)"),
    Activation("rrelu", RReLU, "x for x ≥ 0, s·x below; s is drawn", "Xu et al. (2015)"),
    Activation("elu", nn.ELU, "x for x ≥ 0, eˣ − 1 below", "Clevert et al. (2016)"),
    Activation(
        "selu", nn.SELU, "1.0507·(x for x ≥ 0, 1.6733·(eˣ − 1) below)", "Klambauer et al. (2017)"
    ),
    Activation("celu", nn.CELU, "x for x ≥ 0, α·(e^(x/α) − 1) below", "Barron (2017)"),
    Activation("gelu", partial(Elementwise, gelu), "x·Φ(x)", "Hendrycks & Gimpel (2016)"),
    Activation(
        "gelu-tanh",
        partial(Elementwise, gelu_tanh),
        "x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2",
        "Hendrycks & Gimpel (2016)",
    ),
    Activation("silu", nn.SiLU, "x·sigmoid(x)", "Elfwing et al. (2018)"),
    Activation("mish", partial(Elementwise, mish), "x·tanh(ln(1 + eˣ))", "Misra (2019)"),
    Activation("hard-tanh", nn.Hardtanh, "min(max(−1, x), 1)", "Collobert (2004)"),
    Activation(
        "hard-sigmoid",
        partial(Elementwise, hard_sigmoid),
        "min(max(0, x/6 + 1/2), 1)",
        "Courbariaux et al. (2015)",
    ),
    Activation(
        "hard-swish",
        partial(Elementwise, hard_swish),
        "x·min(max(0, x/6 + 1/2), 1)",
        "Howard et al. (2019)",
    ),
    # PyTorch takes x itself from 20 on, which is 2e-9 off.
    Activation("softplus", partial(nn.Softplus, threshold=40), "ln(1 + eˣ)", "Dugas et al. (2001)"),
    Activation("bent-identity", partial(Elementwise, bent_identity), "(√(x² + 1) − 1)/2 + x"),
    Activation(
        "soft-exponential",
        SoftExponential,
        "−ln(1 − α·(x + α))/α for α < 0, (e^(αx) − 1)/α + α above; α is learned",
        "Godfrey & Gashler (2015)",
        more={"α = −1": partial(SoftExponential, -1.0), "α = 1": partial(SoftExponential, 1.0)},
    ),
    Activation("sinusoid", partial(Elementwise, torch.sin), "sin x"),
    Activation("sinc", partial(Elementwise, sinc), "sin(x)/x, 1 at 0"),
    Activation("gaussian", partial(Elementwise, gaussian), "e^(−x²)"),
    Activation(
        "maxout", Maxout, "max over j of x·Wⱼ + bⱼ", "Goodfellow et al. (2013)", is_layer=True
    ),
):
    ACTIVATIONS.add(_entry.name, _entry)
