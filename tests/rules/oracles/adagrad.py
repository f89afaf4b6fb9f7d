"""AdaGrad: Duchi, Hazan, Singer (2011); Goodfellow, Bengio, Courville (2016), algorithm 8.4.

The accumulator is written as the sum over every gradient so far, the current one included.
"""

import math

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    gradients = []
    path = []
    for t, now in enumerate(settings, start=1):
        lr, eps = now["lr"] / (1 + (t - 1) * now["lr_decay"]), now["eps"]
        g = gradient(p)
        gradients.append(g)
        p = p.copy()
        for i in range(len(p)):
            r = settings[0]["initial"] + sum(past[i] * past[i] for past in gradients)
            root = math.sqrt(r + eps) if now["eps_inside"] else math.sqrt(r) + eps
            p[i] = p[i] - lr * g[i] / root
        path.append(p)
    return path
