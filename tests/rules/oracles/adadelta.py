"""AdaDelta: Zeiler (2012), algorithm 1, with a rate."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    mean_g2, mean_d2 = np.zeros_like(p), np.zeros_like(p)
    path = []
    for now in settings:
        lr, rho, eps = now["lr"], now["rho"], now["eps"]
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            mean_g2[i] = rho * mean_g2[i] + (1 - rho) * g[i] ** 2
            d = -math.sqrt(mean_d2[i] + eps) / math.sqrt(mean_g2[i] + eps) * g[i]
            mean_d2[i] = rho * mean_d2[i] + (1 - rho) * d**2
            p[i] = p[i] + lr * d
        path.append(p)
    return path
