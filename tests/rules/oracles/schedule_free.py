"""Schedule-Free SGD and AdamW: Defazio et al. (2024), by their x, y and z.

What is kept is y, as in the authors' code: where the momentum changes, x moves and y does not.
"""

import numpy as np


def run(gradient, start, settings):
    y = np.array(start, dtype=np.float64)
    z, r = y.copy(), np.zeros_like(y)
    weights, peak = 0.0, 0.0
    path = []
    for t, now in enumerate(settings, start=1):
        a = now["momentum"]
        x = (y - (1 - a) * z) / a
        lr = now["lr"] * (t / now["warmup"] if t < now["warmup"] else 1.0)
        direction = gradient(y)
        if "beta2" in now:
            b2 = now["beta2"]
            r = b2 * r + (1 - b2) * direction**2
            direction = direction / (np.sqrt(r / (1 - b2**t)) + now["eps"])
        direction = direction + now["weight_decay"] * y
        peak = max(peak, lr)
        weight = t ** now["r"] * peak ** now["weight_power"]
        weights += weight
        z = z - lr * direction
        x = (1 - weight / weights) * x + weight / weights * z
        y = (1 - a) * z + a * x
        path.append(y)
    return path
