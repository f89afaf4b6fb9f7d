"""AdaBelief: Zhuang et al. (2020), algorithm 2."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, s = np.zeros_like(p), np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        lr, b1, b2, eps = now["lr"], now["beta1"], now["beta2"], now["eps"]
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            s[i] = b2 * s[i] + (1 - b2) * (g[i] - m[i]) ** 2 + eps
            m_hat = m[i] / (1 - b1**t)
            s_hat = s[i] / (1 - b2**t)
            p[i] = p[i] - lr * m_hat / (math.sqrt(s_hat) + eps)
        path.append(p)
    return path
