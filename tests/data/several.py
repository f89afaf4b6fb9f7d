"""Inputs of a model that takes several."""

import numpy as np
import torch
from torch.utils.data import Dataset

RNG = np.random.default_rng(0)
N = 200
Y = np.arange(N) % 2
WIDE = RNG.normal(5, [1, 20, 0.1], (N, 3))
LONG = RNG.normal(-3, 2, N)
IMAGES = RNG.integers(0, 256, (N, 2, 4, 4)).astype(np.uint8)
IDS = RNG.integers(0, 9, (N, 5))
MASK = RNG.random((N, 5)) < 0.7
ALL = {"wide": WIDE, "long": LONG, "images": IMAGES, "ids": IDS, "mask": MASK}
TENSORS = torch.tensor(WIDE), torch.tensor(IDS)


class Rows(Dataset):
    """Samples whose x is a row of each input."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return N

    def __getitem__(self, row):
        x = self.x
        if isinstance(x, dict):
            return {name: values[row] for name, values in x.items()}, Y[row]
        return tuple(values[row] for values in x), Y[row]
