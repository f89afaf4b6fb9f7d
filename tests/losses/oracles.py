"""Losses of one sample in plain Python, from their definitions.

Of classes: logits and a class number. Of numbers: what was predicted and the target.
"""

import math


def chances(logits):
    top = max(logits)
    grown = [math.exp(z - top) for z in logits]
    return [g / sum(grown) for g in grown]


CLASSES = {
    "cross-entropy": lambda z, y: -math.log(chances(z)[y]),
    "focal": lambda z, y: -((1 - chances(z)[y]) ** 2) * math.log(chances(z)[y]),
    "hinge": lambda z, y: max(
        [0.0] + [1 + other - z[y] for c, other in enumerate(z) if c != y],
    ),
}
NUMBERS = {
    "mean-squared-error": lambda p, y: (p - y) ** 2,
    "mean-absolute-error": lambda p, y: abs(p - y),
    "huber": lambda p, y: (p - y) ** 2 / 2 if abs(p - y) <= 1 else abs(p - y) - 0.5,
    "log-cosh": lambda p, y: math.log(math.cosh(p - y)),
    "quantile": lambda p, y: abs(p - y) / 2,
    "poisson-nll": lambda p, y: math.exp(p) - y * p + math.lgamma(y + 1),
}
PAIRS = {
    "gaussian-nll": lambda m, s, y: (
        0.5 * math.log(2 * math.pi) + s / 2 + (y - m) ** 2 / (2 * math.exp(s))
    ),
    "laplace-nll": lambda m, s, y: math.log(2) + s + abs(y - m) / math.exp(s),
}


def binary_cross_entropy(z, y):
    share = 1 / (1 + math.exp(-z))
    return -(y * math.log(share) + (1 - y) * math.log(1 - share))
