"""Prodigy: Mishchenko and Defazio (2023), algorithm 4, as the authors' package has it."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    first = p.copy()
    m, r, s = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    numerator, grown = 0.0, 1.0
    path = []
    for t, now in enumerate(settings, start=1):
        b1, b2, d0 = now["beta1"], now["beta2"], now["d0"]
        b3 = np.sqrt(b2)
        d = d0 * grown
        g = gradient(p)
        correction = np.sqrt(1 - b2**t) / (1 - b1**t) if now["bias_correction"] else 1.0
        dlr = d * now["lr"] * correction
        numerator = b3 * numerator + d / d0 * dlr * (g * (first - p)).sum()
        m = b1 * m + d * (1 - b1) * g
        r = b2 * r + d**2 * (1 - b2) * g**2
        s = b3 * s + d / d0 * (d if now["safeguard_warmup"] else dlr) * g
        size = np.abs(s).sum()
        later = max(d, now["growth"] * numerator / size) if size > 0 else d
        p = p - now["weight_decay"] * dlr * p - dlr * m / (np.sqrt(r) + later * now["eps"])
        grown = later / d0
        path.append(p)
    return path
