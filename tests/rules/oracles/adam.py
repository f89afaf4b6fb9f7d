"""Adam: Kingma and Ba (2015), algorithm 1, and the order of section 2 with its other eps;
AMSGrad: Reddi, Kale, Kumar (2018)."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, r, largest = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        lr, b1, b2, eps = now["lr"], now["beta1"], now["beta2"], now["eps"]
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
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
        path.append(p)
    return path
