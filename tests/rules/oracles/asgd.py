"""Averaged SGD: Polyak and Juditsky (1992), with the rates of Bottou (2010) as PyTorch has them."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    path = []
    eta = settings[0]["lr"] if settings else None
    for t, now in enumerate(settings, start=1):
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            p[i] = p[i] - eta * (g[i] + now["lambd"] * p[i])
        eta = now["lr"] / (1 + now["lambd"] * now["lr"] * t) ** now["alpha"]
        path.append(p)
    return path
