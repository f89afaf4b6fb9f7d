"""Recurrent networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from talweg.models.layers import drawn, one_width
from talweg.models.shapes import AsSequence


class Recurrent(nn.Module):
    """Recurrent layers over a sequence, and a linear map of the last output.

    Recurrent weights start orthogonal, gate by gate, so that what is remembered neither grows nor
    fades; those of inputs are drawn from ``N(0, 2/(fan_in + fan_out))`` (Glorot & Bengio 2010).
    Biases start at 0, of an LSTM's forget gate at 1, so that it remembers (Jozefowicz et al. 2015).
    PyTorch draws all of them from ``U(−1/√units, 1/√units)`` whatever the number of inputs: a
    recurrent matrix of that size shrinks what it is given to ``1/√3`` at each step.

    Args:
        layer: `torch.nn.LSTM` or `torch.nn.GRU`.
        shape: Of a sample, see `talweg.models.shapes.sequence_of`.
        outputs: Classes, or values per sample.
        units: Of each recurrent layer.
        layers: Recurrent layers.
    """

    def __init__(
        self,
        layer: type[nn.LSTM] | type[nn.GRU],
        shape: Sequence[int],
        outputs: int,
        units: int,
        layers: int,
    ) -> None:
        super().__init__()
        self.rows = AsSequence(shape)
        self.layers = layer(self.rows.features, units, num_layers=layers, batch_first=True)
        self.head = nn.Linear(units, outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        units = self.layers.hidden_size
        with torch.no_grad():
            for name, values in self.layers.named_parameters():
                gates = values.view(-1, units, *values.shape[1:])
                for gate in gates:
                    if name.startswith("weight_hh"):
                        nn.init.orthogonal_(gate)
                    elif name.startswith("weight_ih"):
                        nn.init.xavier_normal_(gate)
                    else:
                        nn.init.zeros_(gate)
                if name.startswith("bias_ih") and isinstance(self.layers, nn.LSTM):
                    nn.init.ones_(gates[1])  # input, forget, cell, output
        drawn(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, …]`` → ``[batch, outputs]``."""
        return self.head(self.layers(self.rows(x))[0][:, -1])


def lstm(shape: Sequence[int], outputs: int, hidden: Sequence[int] = (64,)) -> Recurrent:
    """`Recurrent` of `torch.nn.LSTM`.

    Args:
        shape: Of a sample: ``(T, F)``, an image, whose rows are the steps, or ``(H·H,)``.
        outputs: Classes, or values per sample.
        hidden: Units of each layer, all the same.

    Raises:
        UserError: If samples are no sequences, or the layers differ.

    >>> lstm((64,), 10)(torch.zeros(2, 64)).shape
    torch.Size([2, 10])
    """
    return Recurrent(nn.LSTM, shape, outputs, one_width("lstm", hidden), len(hidden))


def gru(shape: Sequence[int], outputs: int, hidden: Sequence[int] = (64,)) -> Recurrent:
    """`Recurrent` of `torch.nn.GRU`; arguments and errors as those of `lstm`.

    >>> gru((20, 3), 1)(torch.zeros(2, 20, 3)).shape
    torch.Size([2, 1])
    """
    return Recurrent(nn.GRU, shape, outputs, one_width("gru", hidden), len(hidden))
