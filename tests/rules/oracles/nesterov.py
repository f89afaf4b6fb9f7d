"""Nesterov momentum: Goodfellow, Bengio, Courville (2016), algorithm 8.3."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    v = np.zeros_like(p)
    path = []
    for now in settings:
        lr, a = now["lr"], now["momentum"]
        ahead = np.array([p[i] + a * v[i] for i in range(len(p))])
        g = gradient(ahead)
        v = np.array([a * v[i] - lr * g[i] for i in range(len(p))])
        p = np.array([p[i] + v[i] for i in range(len(p))])
        path.append(p)
    return path
