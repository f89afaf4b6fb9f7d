"""AdaMax: Kingma and Ba (2015), algorithm 2, with eps beside the gradient as PyTorch has it
or beside the maximum as Keras has it."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, u = np.zeros_like(p), np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        lr, b1, b2, eps = now["lr"], now["beta1"], now["beta2"], now["eps"]
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            if now["eps_inside"]:
                u[i] = max(b2 * u[i], abs(g[i]) + eps)
                p[i] = p[i] - (lr / (1 - b1**t)) * m[i] / u[i]
            else:
                u[i] = max(b2 * u[i], abs(g[i]))
                p[i] = p[i] - (lr / (1 - b1**t)) * m[i] / (u[i] + eps)
        path.append(p)
    return path
