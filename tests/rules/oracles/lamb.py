"""LAMB: You et al. (2020), algorithm 2; the whole vector is one layer."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, r = np.zeros_like(p), np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        b1, b2 = now["beta1"], now["beta2"]
        g = gradient(p)
        m = b1 * m + (1 - b1) * g
        r = b2 * r + (1 - b2) * g**2
        corrected = now["bias_correction"]
        m_hat = m / (1 - b1**t) if corrected else m
        r_hat = r / (1 - b2**t) if corrected else r
        u = m_hat / (np.sqrt(r_hat) + now["eps"]) + now["weight_decay"] * p
        size, length = np.sqrt((p**2).sum()), np.sqrt((u**2).sum())
        trust = size / length if size > 0 and length > 0 else 1.0
        p = p - now["lr"] * trust * u
        path.append(p)
    return path
