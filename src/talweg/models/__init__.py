"""Models: small ready ones, and where the user's own come from.

`MODELS` has the ready ones by name, and `ready_source` fits one to samples; each is a plain
`torch.nn.Module`, initialised for its activation.
"""

from talweg.models.attention import Transformer, transformer
from talweg.models.convolutional import cnn
from talweg.models.layers import Feedforward
from talweg.models.own import Model, reinitialised, source_of
from talweg.models.perceptron import linear, maxout, mlp
from talweg.models.recurrent import Recurrent, gru, lstm
from talweg.models.source import ModelSource
from talweg.models.table import MODELS, Ready, mlp_source, ready_source

__all__ = [
    "MODELS",
    "Feedforward",
    "Model",
    "ModelSource",
    "Ready",
    "Recurrent",
    "Transformer",
    "cnn",
    "gru",
    "linear",
    "lstm",
    "maxout",
    "mlp",
    "mlp_source",
    "ready_source",
    "reinitialised",
    "source_of",
    "transformer",
]
