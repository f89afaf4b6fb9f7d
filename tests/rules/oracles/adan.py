"""Adan: Xie et al. (2022), algorithm 1, with corrected averages and the shares kept."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, v, n = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    last = None
    path = []
    for t, now in enumerate(settings, start=1):
        lr, eps = now["lr"], now["eps"]
        b1, b2, b3 = now["beta1"], now["beta2"], now["beta3"]
        g = np.array(gradient(p))
        difference = g - (g if last is None else last)
        p = p.copy()
        for i in range(len(p)):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            v[i] = b2 * v[i] + (1 - b2) * difference[i]
            n[i] = b3 * n[i] + (1 - b3) * (g[i] + b2 * difference[i]) ** 2
            rate = lr / (math.sqrt(n[i] / (1 - b3**t)) + eps)
            p[i] = p[i] - rate * (m[i] / (1 - b1**t) + b2 * v[i] / (1 - b2**t))
        last = g
        path.append(p)
    return path
