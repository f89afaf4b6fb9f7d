"""Lion: Chen et al. (2023), algorithm 2."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m = np.zeros_like(p)
    path = []
    for now in settings:
        lr, b1, b2 = now["lr"], now["beta1"], now["beta2"]
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            c = b1 * m[i] + (1 - b1) * g[i]
            if c > 0:
                p[i] = p[i] - lr
            elif c < 0:
                p[i] = p[i] + lr
            m[i] = b2 * m[i] + (1 - b2) * g[i]
        path.append(p)
    return path
