"""Adam with weight decay: Loshchilov and Hutter (2019), algorithm 2, with one rate for both."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, r, largest = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        lr, b1, b2, eps, decay = (
            now[name] for name in ("lr", "beta1", "beta2", "eps", "weight_decay")
        )
        g = gradient(p)
        if now["spare_vectors"] and p.ndim < 2:
            decay = 0.0
        if not now["decoupled"]:
            g = g + decay * p
        before, p = p, p.copy()
        for i in np.ndindex(p.shape):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            r[i] = b2 * r[i] + (1 - b2) * g[i] * g[i]
            largest[i] = max(largest[i], r[i])
            square = largest[i] if now["amsgrad"] else r[i]
            if now["eps_hat"]:
                rate, mean = lr * math.sqrt(1 - b2**t) / (1 - b1**t), m[i]
            else:
                rate, mean, square = lr, m[i] / (1 - b1**t), square / (1 - b2**t)
            root = math.sqrt(square + eps) if now["eps_inside"] else math.sqrt(square) + eps
            p[i] = p[i] - rate * mean / root
            if now["decoupled"]:
                p[i] = p[i] - lr * decay * before[i]
        path.append(p)
    return path
