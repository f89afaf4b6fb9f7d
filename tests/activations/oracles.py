"""Activations to any number of digits, written from their definitions.

`mpmath` numbers in and out; slow and obvious. A parameter that is learned is at its start.
"""

from mpmath import mp, mpf

mp.dps = 60


def _scaled_elu(x):
    alpha = mpf("1.6732632423543772848170429916717")
    scale = mpf("1.0507009873554804934193349852946")
    return scale * (x if x > 0 else alpha * (mp.exp(x) - 1))


def _between(low, x, high):
    return min(max(low, x), high)


def soft_exponential(x, alpha):
    """Godfrey & Gashler (2015), eq. 1."""
    if alpha < 0:
        return -mp.log(1 - alpha * (x + alpha)) / alpha
    return x if alpha == 0 else (mp.exp(alpha * x) - 1) / alpha + alpha


ORACLES = {
    "identity": lambda x: x,
    "binary-step": lambda x: mpf(x >= 0),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "arctan": mp.atan,
    "softsign": lambda x: x / (1 + abs(x)),
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: _between(0, x, 6),
    "leaky-relu": lambda x: x if x >= 0 else mpf("0.01") * x,
    "prelu": lambda x: x if x >= 0 else mpf("0.25") * x,
    "rrelu": lambda x: x if x >= 0 else (mpf(1) / 8 + mpf(1) / 3) / 2 * x,
    "elu": lambda x: x if x >= 0 else mp.exp(x) - 1,
    "selu": _scaled_elu,
    "celu": lambda x: x if x >= 0 else mp.exp(x) - 1,
    "gelu": lambda x: x * mp.ncdf(x),
    "gelu-tanh": lambda x: x * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3))) / 2,
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "mish": lambda x: x * mp.tanh(mp.log(1 + mp.exp(x))),
    "hard-tanh": lambda x: _between(-1, x, 1),
    "hard-sigmoid": lambda x: _between(0, x / 6 + mpf(1) / 2, 1),
    "hard-swish": lambda x: x * _between(0, x / 6 + mpf(1) / 2, 1),
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "bent-identity": lambda x: (mp.sqrt(x**2 + 1) - 1) / 2 + x,
    "soft-exponential": lambda x: soft_exponential(x, 0),
    "sinusoid": mp.sin,
    "sinc": lambda x: mp.sin(x) / x if x else mpf(1),
    "gaussian": lambda x: mp.exp(-(x**2)),
}
