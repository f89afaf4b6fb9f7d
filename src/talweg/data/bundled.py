"""The data sets that come with scikit-learn, by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from talweg.core import Registry
from talweg.data.columns import Column
from talweg.data.raw import Raw
from talweg.data.table import Table


def _read(name: str, **options: Any) -> Raw:
    from sklearn import datasets  # 1 s to import, and not needed to train on one's own tensors

    bunch = getattr(datasets, f"load_{name}")(**options)
    values = np.asarray(bunch.data, dtype=np.float64)
    table = Table({str(key): values[:, place] for place, key in enumerate(bunch.feature_names)})
    classes = tuple(str(word) for word in getattr(bunch, "target_names", ()))
    kind = "classification" if classes else "regression"
    flavour = "whole" if classes else "real"
    target = Column(np.asarray(bunch.target, dtype=np.float64), flavour)
    return Raw(name, table, target, kind=kind, classes=classes)


BUNDLED: Registry[Callable[[], Raw]] = Registry("data set")
"""Name → what reads it, for the data sets that come with scikit-learn."""

for _name in ("digits", "iris", "wine", "breast_cancer"):
    BUNDLED.add(_name, partial(_read, _name))
BUNDLED.add("diabetes", partial(_read, "diabetes", scaled=False))
