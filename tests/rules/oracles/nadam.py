"""NAdam: Dozat (2016), algorithm 2, with the mean kept by beta1 as PyTorch has it."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, r = np.zeros_like(p), np.zeros_like(p)
    used = []
    path = []
    for t, now in enumerate(settings, start=1):
        lr, b1, b2, eps, psi = (now[name] for name in ("lr", "beta1", "beta2", "eps", "psi"))
        mu = b1 * (1 - 0.5 * 0.96 ** (t * psi))
        mu_next = b1 * (1 - 0.5 * 0.96 ** ((t + 1) * psi))
        used.append(mu)
        product = math.prod(used)
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            r[i] = b2 * r[i] + (1 - b2) * g[i] ** 2
            m_bar = mu_next * m[i] / (1 - product * mu_next) + (1 - mu) * g[i] / (1 - product)
            p[i] = p[i] - lr * m_bar / (math.sqrt(r[i] / (1 - b2**t)) + eps)
        path.append(p)
    return path
