"""RMSProp: Hinton (2012), lecture 6e; Goodfellow, Bengio, Courville (2016), algorithms 8.5 and 8.6;
Graves (2013), equations 38 to 45, for the centred average."""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    c, v, m = (np.zeros_like(p) for _ in range(3))
    r = np.full_like(p, settings[0]["initial"]) if settings else None
    path = []
    for now in settings:
        lr, rho, eps, a = now["lr"], now["rho"], now["eps"], now["momentum"]
        velocity = {"velocity": True, "accumulate": False}[now["form"]]
        stored = now["stored"]
        if now["nesterov"] and velocity and not stored:
            g = gradient(np.array([p[i] + a * v[i] for i in range(len(p))]))
        elif now["nesterov"] and not stored:
            g = gradient(np.array([p[i] - lr * a * m[i] for i in range(len(p))]))
        else:
            g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            r[i] = rho * r[i] + (1 - rho) * g[i] * g[i]
            c[i] = rho * c[i] + (1 - rho) * g[i]
            spread = max(r[i] - c[i] * c[i], 0.0) if now["centered"] else r[i]
            root = math.sqrt(spread + eps) if now["eps_inside"] else math.sqrt(spread) + eps
            if velocity:
                v[i] = a * v[i] - lr * g[i] / root
                p[i] = p[i] + (a * v[i] - lr * g[i] / root if stored else v[i])
            else:
                m[i] = a * m[i] + g[i] / root
                p[i] = p[i] - lr * (a * m[i] + g[i] / root if stored else m[i])
        path.append(p)
    return path
