"""Muon: Jordan et al. (2024); `torch.optim.Muon`; vectors as Kingma and Ba's Adam."""

import numpy as np


def orthogonal(u, now):
    a, b, c = now["ns_coefficients"]
    x = u / max(np.sqrt((u**2).sum()), now["eps"])
    if u.shape[0] > u.shape[1]:
        return iterated(x.T, a, b, c, now["ns_steps"]).T
    return iterated(x, a, b, c, now["ns_steps"])


def iterated(x, a, b, c, steps):
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + b * (gram @ x) + c * (gram @ (gram @ x))
    return x


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, r = np.zeros_like(p), np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        g = gradient(p)
        if p.ndim == 1:
            b1, b2 = now["beta1"], now["beta2"]
            m = b1 * m + (1 - b1) * g
            r = b2 * r + (1 - b2) * g**2
            u = m / (1 - b1**t) / (np.sqrt(r / (1 - b2**t)) + now["adam_eps"])
            p = p - now["lr"] * now["ratio"] * u
        else:
            a = now["momentum"]
            m = a * m + (1 - a) * g
            u = (1 - a) * g + a * m if now["nesterov"] else m
            rows, columns = p.shape
            length = (
                max(1, rows / columns) ** 0.5
                if now["adjust"] == "original"
                else 0.2 * max(rows, columns) ** 0.5
            )
            kept = 1 - now["lr"] * now["weight_decay"]
            p = kept * p - now["lr"] * length * orthogonal(u, now)
        path.append(p)
    return path
