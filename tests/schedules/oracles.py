"""Schedules in plain Python: the share of the start value at step k, of N steps, E an epoch."""

import math


def one_cycle(k, total, rise=0.3, div=25.0, final_div=1e4):
    """Smith & Topin (2018), as PyTorch has it."""
    peak = rise * total - 1
    low, last = 1 / div, 1 / div / final_div
    if k <= peak:
        return low + (1 - low) * (1 - math.cos(math.pi * k / peak)) / 2
    way = (k - peak) / (total - 1 - peak)
    return 1 + (last - 1) * (1 - math.cos(math.pi * way)) / 2


def warm_restarts(k, total):
    """Loshchilov & Hutter (2017), eq. 5."""
    length = math.ceil(total / 7)
    while k >= length:
        k, length = k - length, 2 * length
    return (1 + math.cos(math.pi * k / length)) / 2


def cyclic(k, total, low=0.1):
    """Smith (2017)."""
    up = math.ceil(total / 8)
    k %= 2 * up
    return low + (1 - low) * (k / up if k <= up else (2 * up - k) / up)


def cosine(k, total):
    """Loshchilov & Hutter (2017), eq. 5, one round."""
    return (1 + math.cos(math.pi * min(k / total, 1))) / 2


def warm_up(k, total):
    """A straight line from 1% over a twentieth of the run, then a cosine."""
    warm = int(max(0.05 * total, 1))
    return 0.01 + 0.99 * k / warm if k < warm else cosine(k - warm, total - warm)


def warmup_stable_decay(k, total):
    """Hu et al. (2024)."""
    fall = 0.2 * total
    down = min(max((k - (total - fall)) / fall, 0), 1)
    return min((k + 1) / max(0.05 * total, 1), 1) * (1 - down)


ORACLES = {
    "constant": lambda _k, _n, _e: 1.0,
    "linear": lambda k, n, e: 1 - 0.99 * min(k / min(100 * e, n), 1),
    "inverse-time": lambda k, _n, e: 1 / (1 + k / e),
    "step": lambda k, n, _e: 0.1 ** (k // math.ceil(n / 3)),
    "multi-step": lambda k, n, _e: 0.1 ** ((k >= n / 2) + (k >= 0.75 * n)),
    "exponential": lambda k, n, _e: 0.01 ** (k / n),
    "polynomial": lambda k, n, _e: max(1 - k / n, 0) ** 2,
    "cosine": lambda k, n, _e: cosine(k, n),
    "warm-restarts": lambda k, n, _e: warm_restarts(k, n),
    "cyclic": lambda k, n, _e: cyclic(k, n),
    "one-cycle": lambda k, n, _e: one_cycle(k, n),
    "warm-up": lambda k, n, _e: warm_up(k, n),
    "warmup-stable-decay": lambda k, n, _e: warmup_stable_decay(k, n),
}
