"""skorch: the class and its settings by name, searched like any scikit-learn estimator."""

import numpy as np
import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from talweg import optim

torch.manual_seed(0)
x, y = load_iris(return_X_y=True)
net = NeuralNetClassifier(
    nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)),
    criterion=nn.CrossEntropyLoss,
    optimizer=optim.NAdam,
    optimizer__weight_decay=1e-4,
    max_epochs=15,
    batch_size=16,
    verbose=0,
)
search = GridSearchCV(
    make_pipeline(StandardScaler(), net),
    {"neuralnetclassifier__optimizer__lr": [1e-4, 1e-2]},
    cv=3,
)
search.fit(x.astype(np.float32), y.astype(np.int64))
print(search.best_params_, f"accuracy {search.best_score_:.3f}")
assert search.best_score_ > 0.85
