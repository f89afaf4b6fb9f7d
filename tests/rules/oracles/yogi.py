"""Yogi: Zaheer et al. (2018), algorithm 2, with Adam's corrections and a start above 0."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m = np.full_like(p, settings[0]["initial_mean"]) if settings else None
    v = np.full_like(p, settings[0]["initial"]) if settings else None
    path = []
    for t, now in enumerate(settings, start=1):
        lr, b1, b2, eps = now["lr"], now["beta1"], now["beta2"], now["eps"]
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            square = g[i] ** 2
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            if v[i] > square:
                v[i] = v[i] - (1 - b2) * square
            elif v[i] < square:
                v[i] = v[i] + (1 - b2) * square
            p[i] = p[i] - lr * (m[i] / (1 - b1**t)) / (math.sqrt(v[i] / (1 - b2**t)) + eps)
        path.append(p)
    return path
