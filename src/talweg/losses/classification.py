"""Losses for classes, from logits: numbers of any size, of which the softmax is never taken alone.

Targets are class numbers, ``[batch]``, or probabilities, ``[batch, classes]``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from talweg.core import UserError, check_flag, check_number, whole_number


@dataclass(frozen=True)
class CrossEntropy:
    """``−Σ_c p_c·log q_c`` with ``q = softmax(z)``; for a class number ``−log q[y]``.

    Args:
        weights: What each class counts for, ``classes`` numbers of at least 0; None for 1 each.
        smoothing: Share of ``p`` that is spread evenly over all classes, at least 0 and below 1.
        ignore: A class number whose samples count for nothing; None for none.

    Source: Szegedy et al. (2016) for the smoothing; `torch.nn.CrossEntropyLoss`.
    """

    weights: Sequence[float] | None = None
    smoothing: float = 0.0
    ignore: int | None = None

    def __post_init__(self) -> None:
        check_number("smoothing", self.smoothing, at_least=0, below=1)
        if self.ignore is not None:
            whole_number("ignore", self.ignore, at_least=0)
        if self.weights is not None:
            if not isinstance(self.weights, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UserError(f"weights must be numbers, one per class, got {self.weights!r}")
            for weight in self.weights:
                check_number("a weight", weight, at_least=0)
            object.__setattr__(self, "weights", tuple(float(one) for one in self.weights))

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample; where it has many places, as a text has, their sum.

        Args:
            output: Logits ``[batch, classes]`` or ``[batch, classes, …]``.
            target: Class numbers ``[batch, …]``, or probabilities shaped like the logits.
        """
        values = functional.cross_entropy(
            output,
            target,
            weight=self._weights(output),
            ignore_index=-100 if self.ignore is None else self.ignore,
            label_smoothing=self.smoothing,
            reduction="none",
        )
        return self._of_samples(values)

    def weight(self, output: Tensor, target: Tensor) -> Tensor:
        """What each sample counts for, ``[batch]``; samples of probabilities 1."""
        if target.is_floating_point():
            return torch.ones_like(target[:, 0].reshape(len(target), -1)[:, 0])
        given = self._weights(output)
        counts = torch.ones_like(target, dtype=output.dtype)
        if given is not None:
            counts = given[target.clamp(min=0, max=len(given) - 1)]
        if self.ignore is not None:
            counts = torch.where(target == self.ignore, 0.0, counts)
        return self._of_samples(counts)

    def _of_samples(self, values: Tensor) -> Tensor:
        rows = values.reshape(len(values), -1)
        return rows.mean(1) if self.weights is None and self.ignore is None else rows.sum(1)

    def _weights(self, output: Tensor) -> Tensor | None:
        if self.weights is None:
            return None
        if len(self.weights) != output.shape[1]:
            raise UserError(
                f"weights must be one per class ({output.shape[1]}), got {len(self.weights)}"
            )
        return output.new_tensor(self.weights)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """``−[w·y·log σ(z) + (1−y)·log(1−σ(z))]``: logistic regression.

    Args:
        positive: ``w``, what a positive sample counts for, above 0.
        smoothing: Share of ``y`` that is moved to 1/2, at least 0 and below 1.

    Source: `torch.nn.BCEWithLogitsLoss`.
    """

    positive: float = 1.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_number("smoothing", self.smoothing, at_least=0, below=1)
        check_number("positive", self.positive, above=0)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample.

        Args:
            output: One logit ``z`` per sample, ``[batch]`` or ``[batch, 1]``.
            target: ``y``, from 0 to 1, ``[batch]``.
        """
        logit = output.reshape(target.shape)
        wanted = target.to(logit.dtype) * (1 - self.smoothing) + self.smoothing / 2
        values = functional.binary_cross_entropy_with_logits(
            logit,
            wanted,
            reduction="none",
            pos_weight=None if self.positive == 1 else logit.new_tensor(self.positive),
        )
        return values.reshape(len(values), -1).mean(1)


@dataclass(frozen=True)
class Focal:
    """``−(1 − q[y])^gamma·log q[y]``: what is right already counts for little.

    Args:
        gamma: At least 0; 0 is cross-entropy.

    Source: Lin et al., "Focal loss for dense object detection" (2017), eq. 4.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, at_least=0)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample.

        Args:
            output: Logits ``[batch, classes]``.
            target: Class numbers ``[batch]``.
        """
        logs = functional.log_softmax(output, 1)
        own = logs.gather(1, target[:, None])[:, 0]
        # 1 − q[y] is the sum of the others: no cancellation where q[y] is nearly 1.
        others = logs.scatter(1, target[:, None], -torch.inf)
        missing = torch.logsumexp(others, 1)
        return -torch.exp(self.gamma * missing) * own


@dataclass(frozen=True)
class Hinge:
    """``max over wrong classes of max(0, margin + z_c − z_y)``: a support vector machine's.

    Args:
        margin: Above 0.
        squared: Whether it is squared.

    Source: Crammer & Singer (2001).
    """

    margin: float = 1.0
    squared: bool = False

    def __post_init__(self) -> None:
        check_number("margin", self.margin, above=0)
        check_flag("squared", self.squared)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample.

        Args:
            output: Scores ``[batch, classes]``.
            target: Class numbers ``[batch]``.
        """
        own = output.gather(1, target[:, None])[:, 0]
        worst = output.scatter(1, target[:, None], -torch.inf).amax(1)
        missing = (self.margin + worst - own).clamp(min=0)
        return missing.square() if self.squared else missing
