"""A small transformer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from talweg.activations import ACTIVATIONS
from talweg.models.layers import drawn, hidden_layer, one_width
from talweg.models.shapes import AsSequence


class Block(nn.Module):
    """Attention, then a hidden layer of four times the width; each is normalised before, added to.

    Args:
        width: Features of a step.
        activation: Of the hidden layer.
    """

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.heads = next(heads for heads in (4, 2, 1) if width % heads == 0)
        self.gain = ACTIVATIONS[activation].properties.gain
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.look = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)
        self.widen = nn.Sequential(*hidden_layer(width, 4 * width, activation))
        self.narrow = nn.Linear(4 * width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        for layer in (self.look, self.merge, self.widen[0]):
            drawn(layer)
        drawn(self.narrow, self.gain)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, steps, width]`` → the same."""
        each = self.look(self.norms[0](x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = each.permute(2, 0, 3, 1, 4)  # [batch, head, step, feature]
        found = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.merge(found)
        return x + self.narrow(self.widen(self.norms[1](x)))


class Transformer(nn.Module):
    """Steps and their places embedded, blocks of attention, the mean over steps, a linear map.

    Weights are drawn from ``N(0, 1/fan_in)``, after the activation from ``N(0, gain²/fan_in)``,
    learned places from ``N(0, 1)``, as large as what they are added to, for the mean over the steps
    would lose them otherwise; biases start at 0. Nothing is dropped out.

    Args:
        shape: Of a sample, see `talweg.models.shapes.sequence_of`.
        outputs: Classes, or values per sample.
        width: Features of a step in the blocks.
        blocks: Their number.
        activation: A name in `talweg.activations.ACTIVATIONS`.

    Source: Vaswani et al. (2017), normalised before each part as by Xiong et al. (2020).
    """

    def __init__(
        self, shape: Sequence[int], outputs: int, width: int, blocks: int, activation: str
    ) -> None:
        super().__init__()
        self.rows = AsSequence(shape)
        self.embed = nn.Linear(self.rows.features, width)
        self.places = nn.Parameter(torch.empty(self.rows.steps, width))
        self.blocks = nn.Sequential(*(Block(width, activation) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws what lies around the blocks anew; they do so themselves."""
        drawn(self.embed)
        nn.init.normal_(self.places)
        drawn(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, …]`` → ``[batch, outputs]``."""
        x = self.blocks(self.embed(self.rows(x)) + self.places)
        return self.head(self.norm(x).mean(1))


def transformer(
    shape: Sequence[int],
    outputs: int,
    hidden: Sequence[int] = (32,),
    activation: str = "gelu",
) -> Transformer:
    """A `Transformer`.

    Args:
        shape: Of a sample: ``(T, F)``, an image, whose rows are the steps, or ``(H·H,)``.
        outputs: Classes, or values per sample.
        hidden: Width of each block, all the same.
        activation: A name in `talweg.activations.ACTIVATIONS`.

    Raises:
        UserError: If samples are no sequences, or the blocks differ.

    >>> transformer((64,), 10)(torch.zeros(2, 64)).shape
    torch.Size([2, 10])
    """
    width = one_width("transformer", hidden)
    return Transformer(shape, outputs, width, len(hidden), activation)
