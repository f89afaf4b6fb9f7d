"""What suggests rates: talweg, torch-lr-finder and Lightning, on the same models and batches."""

import logging
import math
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, TensorDataset

import talweg
from talweg.data import Samples
from talweg.models import mlp
from talweg.rules import RULES

SEEDS, STEPS, BATCH = 8, 100, 64
TORCH = {"sgd": optim.SGD, "adam": optim.Adam}


@dataclass(frozen=True)
class Suggestion:
    """What a finder says.

    Args:
        lr: A rate, or None where it gave none.
        gradients: How many it took.
        interval: Where it says that rates lie, if it says so.
    """

    lr: float | None
    gradients: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Task:
    """What is learned, and by what rule.

    Args:
        data: A name of `talweg.data`.
        rule: A name in `TORCH` and of talweg's, which are the same rule.
        hidden: Units of each hidden layer.
        activation: Of the hidden layers.
    """

    data: str
    rule: str
    hidden: tuple[int, ...] = (128, 128)
    activation: str = "relu"

    def model(self) -> nn.Module:
        inputs, outputs = {"digits": (64, 10), "diabetes": (10, 1)}[self.data]
        return mlp(inputs, outputs, self.hidden, self.activation)

    def seeded_model(self, seed: int) -> nn.Module:
        """The model that a lane of this seed starts from."""
        torch.manual_seed(seed)
        return self.model()


def loss_of(output: Tensor, target: Tensor) -> Tensor:
    """What talweg takes by itself: cross-entropy for classes, mean squared error for numbers."""
    if target.is_floating_point():
        return nn.functional.mse_loss(output.squeeze(1), target)
    return nn.functional.cross_entropy(output, target)


def with_talweg(task: Task, samples: Samples, seeds: Sequence[int]) -> Suggestion:
    """As `talweg.find_lr` is by default."""
    return _found(task, samples, seeds)


def with_few_steps(task: Task, samples: Samples, seeds: Sequence[int]) -> Suggestion:
    """With about the gradients of 8 ramps: the rule's usual range alone, 2 seeds, 24 steps."""
    low, high = RULES[task.rule].rule.lr_range
    return _found(task, samples, seeds[:2], lrs=np.geomspace(low, high, 17).tolist(), steps=24)


def _found(task: Task, samples: Samples, seeds: Sequence[int], **options) -> Suggestion:
    found = talweg.find_lr(
        task.model, samples, task.rule, seeds=seeds, batch_size=BATCH, progress=False, **options
    )
    return Suggestion(found.lr, len(found.rates) * found.seeds * found.steps, found.interval)


def batches(samples: Samples, seed: int) -> DataLoader:
    order = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(samples.x, samples.y), BATCH, shuffle=True, generator=order)


def one_torch_lr_finder(task: Task, samples: Samples, seed: int) -> dict[str, Suggestion]:
    """As its README has it: from 1e-7 to 100 in 100 steps; what its plot suggests."""
    from matplotlib.figure import Figure
    from torch_lr_finder import LRFinder

    model = task.seeded_model(seed)
    finder = LRFinder(model, TORCH[task.rule](model.parameters(), lr=1e-7), loss_of)
    finder.range_test(batches(samples, seed), end_lr=100, num_iter=STEPS)
    try:
        lr = finder.plot(ax=Figure().subplots())[1]
    except RuntimeError:  # it stopped too early to suggest any
        lr = None
    return {"torch-lr-finder": Suggestion(lr, len(finder.history["lr"]))}


def one_lightning(task: Task, samples: Samples, seed: int) -> dict[str, Suggestion]:
    """As its defaults have it: from 1e-8 to 1 in 100 steps; what it suggests.

    Lightning 2.6 takes the slope of the loss by the rate, which is steepest at the smallest rates
    (issue 21141 of its repository); so also the steepest slope by the rate's logarithm, as its
    issue asks for, of the same curve without the ends that it leaves out.
    """
    import lightning
    from lightning.pytorch.tuner import Tuner

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = task.seeded_model(seed), 1e-3

        def training_step(self, batch, _number):
            return loss_of(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return TORCH[task.rule](self.parameters(), lr=self.lr)

    logging.getLogger("lightning.pytorch").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        )  # fmt: skip
        finder = Tuner(trainer).lr_find(Module(), batches(samples, seed), update_attr=False)
    rates, losses = (np.array(finder.results[column])[10:-1] for column in ("lr", "loss"))
    known = np.isfinite(losses)
    slopes = np.gradient(losses[known], np.log10(rates[known])) if known.sum() > 1 else None
    steepest = None if slopes is None else float(rates[known][slopes.argmin()])
    steps = len(finder.results["lr"])
    return {
        "Lightning": Suggestion(finder.suggestion(), steps),
        "Lightning, slope by logarithm": Suggestion(steepest, steps),
    }


def suggestions(task: Task, samples: Samples, repeats: int) -> dict[str, list[Suggestion]]:
    """Finder → what it suggests at each repeat; talweg and the ramps of a repeat share seeds."""
    found: dict[str, list[Suggestion]] = {}
    for repeat in range(repeats):
        seeds = range(repeat * SEEDS, (repeat + 1) * SEEDS)
        found.setdefault("talweg", []).append(with_talweg(task, samples, seeds))
        found.setdefault("talweg, few steps", []).append(with_few_steps(task, samples, seeds))
        for ramp in (one_torch_lr_finder, one_lightning):
            ramps = [ramp(task, samples, seed) for seed in seeds]
            for name, first in ramps[0].items():
                found.setdefault(name, []).append(first)
                median = middle([one[name] for one in ramps])
                found.setdefault(f"{name}, median of {SEEDS}", []).append(median)
    return found


def middle(ramps: Sequence[Suggestion]) -> Suggestion:
    """The median of what several ramps suggest, in the logarithm."""
    known = [math.log10(ramp.lr) for ramp in ramps if ramp.lr is not None]
    lr = 10 ** statistics.median(known) if known else None
    return Suggestion(lr, sum(ramp.gradients for ramp in ramps))
