"""SOAP: Vyas et al. (2024), algorithm 3, as the authors' code has it; vectors are plain Adam."""

import numpy as np


def run(gradient, start, settings):
    p = np.array(start, dtype=np.float64)
    m, r = np.zeros_like(p), np.zeros_like(p)
    spreads, turns = {}, {}
    path = []
    for t, now in enumerate(settings, start=1):
        g = gradient(p)
        b1, b2, b3 = now["beta1"], now["beta2"], now["beta3"]
        sides = [i for i in range(2) if p.ndim == 2 and p.shape[i] <= now["largest"]]
        if t > 1:
            m = b1 * m + (1 - b1) * g
            r = b2 * r + (1 - b2) * into(g, turns) ** 2
            u = back(into(m, turns) / (np.sqrt(r) + now["eps"]), turns)
            rate = now["lr"]
            if now["bias_correction"]:
                rate *= np.sqrt(1 - b2 ** (t - 1)) / (1 - b1 ** (t - 1))
            p = p - rate * u
            p = p - now["lr"] * now["weight_decay"] * p
        path.append(p)
        for side in sides:
            square = g @ g.T if side == 0 else g.T @ g
            spreads[side] = b3 * spreads.get(side, 0.0) + (1 - b3) * square
            if t == 1:
                turns[side] = np.linalg.eigh(spreads[side])[1][:, ::-1]
            elif (t - 1) % now["frequency"] == 0:
                product = spreads[side] @ turns[side]
                order = np.argsort(-np.diag(turns[side].T @ product))
                turns[side] = np.linalg.qr(product[:, order])[0]
                r = np.take(r, order, axis=side)
    return path


def into(x, turns):
    x = turns[0].T @ x if 0 in turns else x
    return x @ turns[1] if 1 in turns else x


def back(x, turns):
    x = turns[0] @ x if 0 in turns else x
    return x @ turns[1].T if 1 in turns else x
