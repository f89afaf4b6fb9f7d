"""RAdam: Liu et al. (2020), algorithm 2, with the threshold 5 of the authors' code."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, v = np.zeros_like(p), np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        lr, b1, b2, eps = now["lr"], now["beta1"], now["beta2"], now["eps"]
        rho_inf = 2 / (1 - b2) - 1
        rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            v[i] = b2 * v[i] + (1 - b2) * g[i] ** 2
            m_hat = m[i] / (1 - b1**t)
            if rho > 5:
                if now["eps_hat"]:
                    adaptive = math.sqrt(1 - b2**t) / (math.sqrt(v[i]) + eps)
                else:
                    adaptive = 1 / (math.sqrt(v[i] / (1 - b2**t)) + eps)
                top = (rho - 4) * (rho - 2) * rho_inf
                rectified = math.sqrt(top / ((rho_inf - 4) * (rho_inf - 2) * rho))
                p[i] = p[i] - lr * rectified * m_hat * adaptive
            else:
                p[i] = p[i] - lr * m_hat
        path.append(p)
    return path
