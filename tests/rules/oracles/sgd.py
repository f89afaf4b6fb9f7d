"""Gradient descent: Goodfellow, Bengio, Courville (2016), algorithm 8.1."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    path = []
    for now in settings:
        g = gradient(p)
        p = np.array([p[i] - now["lr"] * g[i] for i in range(len(p))])
        path.append(p)
    return path
