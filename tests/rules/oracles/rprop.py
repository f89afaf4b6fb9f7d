"""Rprop: Riedmiller and Braun (1993), in the form iRprop- of Igel and Hüsken (2000)."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    last = np.zeros_like(p)
    size = np.full_like(p, settings[0]["lr"]) if settings else None
    path = []
    for now in settings:
        g = np.array(gradient(p))
        p = p.copy()
        for i in range(len(p)):
            if g[i] * last[i] > 0:
                size[i] = size[i] * now["eta_plus"]
            elif g[i] * last[i] < 0:
                size[i] = size[i] * now["eta_minus"]
                g[i] = 0.0
            size[i] = min(max(size[i], now["step_min"]), now["step_max"])
            if g[i] > 0:
                p[i] = p[i] - size[i]
            elif g[i] < 0:
                p[i] = p[i] + size[i]
            last[i] = g[i]
        path.append(p)
    return path
