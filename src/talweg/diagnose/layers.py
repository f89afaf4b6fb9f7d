"""What is told of a module by its class, its parameters and the shape of what it gives."""

from torch import Tensor, nn

from talweg.diagnose.moment import Layer
from talweg.diagnose.wrappers import plain_name

Convolution = nn.modules.conv._ConvNd  # pyright: ignore[reportPrivateUsage]
MULTIPLYING = (nn.Linear, Convolution)
"""Linear maps, of which two in a row are one."""
LINEAR = (
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.Upsample),
    *(nn.modules.dropout._DropoutNd, nn.ChannelShuffle, nn.Fold, nn.Unfold),  # pyright: ignore[reportPrivateUsage]
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
)
"""Modules without parameters through which a linear map stays one, in evaluation."""

LAST = (nn.Linear, nn.RNNBase, nn.MultiheadAttention, nn.Embedding, nn.LayerNorm)
"""Layers whose units lie along the last dimension."""


def called(name: str, model: nn.Module) -> str:
    """What a module is called: its path, or its class where it is the whole model."""
    return plain_name(name) or type(model).__name__


def is_followed(module: nn.Module) -> bool:
    """Whether a module does something of its own, and is not only what holds others."""
    return has_parameters(module) or not any(True for _ in module.children())


def has_parameters(module: nn.Module) -> bool:
    """Whether a module has parameters of its own."""
    return any(value is not None for value in module._parameters.values())  # pyright: ignore[reportPrivateUsage, reportUnnecessaryComparison]


def is_linear(module: nn.Module) -> bool:
    """Whether a module without parameters leaves a linear map linear."""
    return isinstance(module, LINEAR)


def is_straight(before: nn.Module, after: nn.Module) -> bool:
    """Whether two modules, one on what the other gives, are one linear map that is no larger.

    Convolutions by channel and those along one direction are factors that are meant so.
    """
    for module in (before, after):
        if isinstance(module, Convolution):
            if module.groups > 1 or len(set(module.kernel_size)) > 1:
                return False
        elif not isinstance(module, nn.Linear):
            return False
    return True


def layer_of(name: str, module: nn.Module, given: Tensor) -> Layer:
    """What is known of a layer by what it gave."""
    own = {key: value for key, value in module.named_parameters(recurse=False) if value.dim() > 1}
    first = next(iter(own), "")
    units = given.shape[units_of(module, given)] if given.dim() else 1
    inputs = getattr(module, "in_features", getattr(module, "in_channels", None))
    if not isinstance(inputs, int):
        shape = own[first].shape if first else (0, 0)
        inputs = shape[1] if shape[0] == units else shape[0]
    return Layer(name, type(module).__name__, weight=first, units=units, inputs=inputs)


def units_of(module: nn.Module, values: Tensor) -> int:
    """The dimension along which a module's units lie in what it gave.

    >>> import torch
    >>> units_of(nn.Conv2d(1, 8, 3), torch.ones(8, 4, 4)), units_of(nn.Linear(1, 8), torch.ones(8))
    (0, 0)
    """
    last = values.dim() - 1
    if isinstance(module, Convolution):
        return max(last - len(module.kernel_size), 0)
    if values.dim() < 3 or isinstance(module, LAST):
        return max(last, 0)
    sizes = {value.shape[0] for value in module.parameters(recurse=False) if value.dim()}
    sizes |= {getattr(module, "num_features", None), getattr(module, "num_channels", None)} - {None}
    # Norms of channels, and modules of one's own, are told by the sizes of their parameters.
    is_channels_first = values.shape[1] in sizes
    is_norm = isinstance(module, (nn.modules.batchnorm._NormBase, nn.GroupNorm))  # pyright: ignore[reportPrivateUsage]
    return 1 if is_channels_first and (is_norm or values.shape[-1] not in sizes) else last
