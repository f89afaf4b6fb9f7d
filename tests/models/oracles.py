"""Every model in plain NumPy: what it gives for samples, and how many parameters it has.

``forward(state, x)`` takes a state dict of arrays in double precision and samples ``[n, *seen]`` in
the shape that the model computes with; ``count(seen, hidden, outputs)`` is a formula.
"""

from itertools import pairwise
from math import prod

import numpy as np
from scipy.special import erf, expit


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def layers_of(state):
    """Weights and biases in their order."""
    names = [name.removesuffix(".weight") for name in state if name.endswith("weight")]
    return [(state[f"{name}.weight"], state[f"{name}.bias"]) for name in names]


def linear(state, x):
    (weight, bias) = layers_of(state)[0]
    return x @ weight.T + bias


def mlp(state, x):
    *hidden, (weight, bias) = layers_of(state)
    for inner, offset in hidden:
        x = relu(x @ inner.T + offset)
    return x @ weight.T + bias


def maxout(state, x):
    *hidden, (weight, bias) = layers_of(state)
    for inner, offset in hidden:
        pieces = x @ inner.T + offset
        x = np.maximum(pieces[:, 0::2], pieces[:, 1::2])
    return x @ weight.T + bias


def cnn(state, x):
    *convolutions, (weight, bias) = layers_of(state)
    for kernel, offset in convolutions:
        n, _, height, width = x.shape
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        found = np.zeros((n, len(kernel), height, width))
        for row in range(height):
            for column in range(width):
                window = padded[:, :, row : row + 3, column : column + 3]
                found[:, :, row, column] = np.einsum("ncij,ocij->no", window, kernel) + offset
        x = relu(found)
    height, width = (side // 2 for side in x.shape[2:])
    pooled = np.zeros((*x.shape[:2], height, width))
    for row in range(height):
        for column in range(width):
            square = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            pooled[:, :, row, column] = square.max((2, 3))
    return pooled.reshape(len(x), -1) @ weight.T + bias


def lstm(state, x):
    h = c = np.zeros((len(x), state["head.weight"].shape[1]))
    for t in range(x.shape[1]):
        i, f, g, o = np.split(_gates(state, "ih", x[:, t]) + _gates(state, "hh", h), 4, axis=1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
    return h @ state["head.weight"].T + state["head.bias"]


def gru(state, x):
    h = np.zeros((len(x), state["head.weight"].shape[1]))
    for t in range(x.shape[1]):
        reset, update, new = np.split(_gates(state, "ih", x[:, t]), 3, axis=1)
        reset_h, update_h, new_h = np.split(_gates(state, "hh", h), 3, axis=1)
        new = np.tanh(new + expit(reset + reset_h) * new_h)
        z = expit(update + update_h)
        h = (1 - z) * new + z * h
    return h @ state["head.weight"].T + state["head.bias"]


def _gates(state, which, x):
    return x @ state[f"layers.weight_{which}_l0"].T + state[f"layers.bias_{which}_l0"]


def transformer(state, x):
    def linear(name, x):
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)

    def normalised(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    x = linear("embed", x) + state["places"]
    heads, width = 4, x.shape[-1]
    for block in sorted({name.split(".")[1] for name in state if name.startswith("blocks")}):
        each = np.split(
            linear(f"blocks.{block}.look", normalised(f"blocks.{block}.norms.0", x)), 3, -1
        )
        found = []
        for q, k, v in zip(*(np.split(part, heads, -1) for part in each), strict=True):
            score = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(width / heads))
            found.append(score / score.sum(-1, keepdims=True) @ v)
        x = x + linear(f"blocks.{block}.merge", np.concatenate(found, -1))
        wide = gelu(linear(f"blocks.{block}.widen.0", normalised(f"blocks.{block}.norms.1", x)))
        x = x + linear(f"blocks.{block}.narrow", wide)
    return linear("head", normalised("norm", x).mean(1))


def count_of_row(pieces):
    def count(seen, hidden, outputs):
        inner = sum(pieces * (a + 1) * b for a, b in pairwise((prod(seen), *hidden)))
        return inner + ((hidden or seen)[-1] + 1) * outputs

    return count


def count_of_cnn(seen, hidden, outputs):
    channels, height, width = seen
    convolutions = sum((9 * a + 1) * b for a, b in pairwise((channels, *hidden)))
    return convolutions + (hidden[-1] * (height // 2) * (width // 2) + 1) * outputs


def count_of_recurrent(gates):
    def count(seen, hidden, outputs):
        inner = sum(gates * b * (a + b + 2) for a, b in pairwise((seen[1], *hidden)))
        return inner + (hidden[-1] + 1) * outputs

    return count


def count_of_transformer(seen, hidden, outputs):
    (steps, features), d = seen, hidden[0]
    block = 2 * 2 * d + 3 * d * d + (d + 1) * d + (d + 1) * 4 * d + (4 * d + 1) * d
    return (features + 1) * d + steps * d + len(hidden) * block + 2 * d + (d + 1) * outputs


ORACLES = {
    "linear": (linear, count_of_row(1)),
    "logistic": (linear, count_of_row(1)),
    "softmax": (linear, count_of_row(1)),
    "mlp": (mlp, count_of_row(1)),
    "maxout": (maxout, count_of_row(2)),
    "cnn": (cnn, count_of_cnn),
    "lstm": (lstm, count_of_recurrent(4)),
    "gru": (gru, count_of_recurrent(3)),
    "transformer": (transformer, count_of_transformer),
}
