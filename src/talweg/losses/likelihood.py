"""Negative log-likelihoods: of any family of distributions.

Least squares is Gaussian noise of fixed variance, the absolute error Laplace noise, cross-entropy a
categorical distribution: a loss is a guess about the noise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, distributions
from torch.nn import functional

from talweg.core import UserError


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """``−log p(y | x)`` under a distribution that the model's output names.

    Args:
        family: What the model returned, ``[batch, …]`` → a distribution of batch shape ``[batch]``
            or ``[batch, …]``, such as ``lambda out: Normal(out[:, 0], softplus(out[:, 1]))``.

    >>> import torch
    >>> from torch.distributions import Poisson
    >>> nll = NegativeLogLikelihood(lambda out: Poisson(out.exp()))
    >>> nll(torch.zeros(2), torch.tensor([0.0, 1.0])).tolist()
    [1.0, 1.0]
    """

    family: Callable[[Tensor], distributions.Distribution]

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """``[batch]``; where a sample has many values, their sum."""
        chances = self.family(output).log_prob(target)
        if chances.shape[:1] != target.shape[:1]:
            raise UserError(
                f"the distribution must have one entry per sample: of an output "
                f"{list(output.shape)} it made {list(chances.shape)} for {len(target)} samples"
            )
        return -chances.reshape(len(target), -1).sum(1)


def gaussian(output: Tensor) -> distributions.Distribution:
    """A normal distribution from its mean and the logarithm of its variance, ``[batch, 2]``.

    The logarithm counts as 40 at most, and as −40 at least.
    """
    mean, spread = _two("gaussian-nll", "variance", output)
    return distributions.Normal(mean, (spread / 2).exp(), validate_args=False)


def laplace(output: Tensor) -> distributions.Distribution:
    """A Laplace distribution from its mean and the logarithm of its scale, ``[batch, 2]``.

    The logarithm counts as 40 at most, and as −40 at least.
    """
    mean, spread = _two("laplace-nll", "scale", output)
    return distributions.Laplace(mean, spread.exp(), validate_args=False)


def _two(loss: str, what: str, output: Tensor) -> tuple[Tensor, Tensor]:
    """A mean, and the logarithm of something that it may not take too far."""
    if output.dim() < 2 or output.shape[1] != 2:
        raise UserError(
            f"{loss} needs two values per sample, the mean and the logarithm of the {what}, "
            f"got {list(output.shape[1:])}"
        )
    mean, spread = output.unbind(1)
    return mean, spread.clamp(-40, 40)


def poisson(output: Tensor, target: Tensor) -> Tensor:
    """``e^z − y·z + ln y!`` from the logarithm ``z`` of the rate, one value per sample.

    ``z`` counts as 80 where it is more.

    Args:
        output: ``z``, ``[batch]`` or ``[batch, 1]``.
        target: Counts, ``[batch]``.
    """
    z = output.reshape(target.shape)
    values = functional.poisson_nll_loss(z.clamp(max=80), target, reduction="none")
    return (values + (target + 1).lgamma()).reshape(len(target), -1).mean(1)
