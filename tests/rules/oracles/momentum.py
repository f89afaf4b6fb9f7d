"""Heavy-ball momentum in three conventions: Goodfellow, Bengio, Courville (2016), algorithm 8.2,
for the velocity; Sutskever et al. (2013) for the accumulated gradient."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    gathered = np.zeros_like(p)
    path = []
    for t, now in enumerate(settings, start=1):
        lr, a = now["lr"], now["momentum"]
        share = 1 if t == 1 else 1 - now["dampening"]
        g = gradient(p)
        p = p.copy()
        for i in range(len(p)):
            if now["form"] == "velocity":
                gathered[i] = a * gathered[i] - lr * share * g[i]
                ahead = a * gathered[i] - lr * g[i]
                p[i] = p[i] + (ahead if now["nesterov"] else gathered[i])
            elif now["form"] == "accumulate":
                gathered[i] = a * gathered[i] + share * g[i]
                ahead = a * gathered[i] + g[i]
                p[i] = p[i] - lr * (ahead if now["nesterov"] else gathered[i])
            elif now["form"] == "average":
                gathered[i] = a * gathered[i] + (1 - a) * share * g[i]
                ahead = a * gathered[i] + (1 - a) * g[i]
                p[i] = p[i] - lr * (ahead if now["nesterov"] else gathered[i])
            else:
                raise NotImplementedError(now["form"])
        path.append(p)
    return path
