"""Adafactor: Shazeer and Stern (2018), algorithms 4 and 5, with the changes that PyTorch made."""

import numpy as np


def rms(x):
    return np.sqrt((x**2).mean())


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    r, rows, columns = np.zeros_like(p), 0.0, 0.0
    path = []
    for t, now in enumerate(settings, start=1):
        eps = np.finfo(np.float64).eps if now["machine_eps"] else now["eps"]
        g = gradient(p)
        b2 = 1 - t ** -now["power"]
        if p.ndim == 1:
            r = b2 * r + (1 - b2) * g**2
        else:
            rows = b2 * rows + (1 - b2) * (g**2).mean(axis=1)
            columns = b2 * columns + (1 - b2) * (g**2).mean(axis=0)
            r = np.outer(rows, columns) / max(rows.mean(), eps)
        u = g / np.maximum(np.sqrt(r), eps)
        u = u / max(1.0, rms(u) / now["clip"])
        rate = max(now["floor"], rms(p)) * min(now["lr"], 1 / np.sqrt(t))
        p = p - now["lr"] * now["weight_decay"] * p - rate * u
        path.append(p)
    return path
