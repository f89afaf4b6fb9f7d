"""Recurrent networks."""

from collections.abc import Sequence

from torch import Tensor, nn

from talweg.models.layers import drawn, one_width
from talweg.models.shapes import AsSequence


class Recurrent(nn.Module):
    """Recurrent layers over a sequence, and a linear map of the last output.

    Weights of inputs are drawn from ``N(0, 1/fan_in)``, as everywhere here; recurrent ones start
    orthogonal, gate by gate, so that they neither stretch nor shrink what is remembered (Saxe et
    al. 2014). Biases start at 0, of an LSTM's forget gate at 1, so that it remembers (Jozefowicz et
    al. 2015). PyTorch draws all of them from ``U(−1/√units, 1/√units)`` whatever the inputs' number
    is, and such a recurrent matrix shrinks what it is given to ``1/√3`` at each step.

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
        for name, values in self.layers.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.normal_(values, std=values.shape[1] ** -0.5)
            elif name.startswith("weight_hh"):
                for gate in values.detach().split(units):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(values)
                if name.startswith("bias_ih") and isinstance(self.layers, nn.LSTM):
                    nn.init.ones_(values.detach()[units : 2 * units])  # after the input gate's
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

    >>> import torch
    >>> lstm((64,), 10)(torch.zeros(2, 64)).shape
    torch.Size([2, 10])
    """
    return Recurrent(nn.LSTM, shape, outputs, one_width("lstm", hidden), len(hidden))


def gru(shape: Sequence[int], outputs: int, hidden: Sequence[int] = (64,)) -> Recurrent:
    """`Recurrent` of `torch.nn.GRU`; arguments and errors as those of `lstm`.

    >>> import torch
    >>> gru((20, 3), 1)(torch.zeros(2, 20, 3)).shape
    torch.Size([2, 1])
    """
    return Recurrent(nn.GRU, shape, outputs, one_width("gru", hidden), len(hidden))
