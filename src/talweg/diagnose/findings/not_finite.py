"""Numbers that are not finite."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.finite import BETWEEN, GRADIENT, INPUTS, LOSS, OUTPUTS, WEIGHTS
from talweg.diagnose.moment import Past

WHAT = {
    INPUTS: "the model is given values that are not finite",
    WEIGHTS: "its weights are no longer finite: the update before made them so",
    OUTPUTS: "it gives values that are not finite, of inputs that are",
    BETWEEN: "it is given values that are not finite, made between it and the module before",
    LOSS: "the loss is not finite, of outputs that are",
    GRADIENT: "the gradient of its weights is not finite",
}


@dataclass(frozen=True)
class NotFinite(Diagnosis):
    """Something is infinite or not a number: where it began, and with what.

    It is over once the gradients and the weights of a measured step are finite again.
    """

    name = "not finite"
    meaning = (
        "Every number that is made of it is lost, and so is the run once weights are updated with "
        "one."
    )
    remedies = (
        "a lower learning rate, if weights or their gradients came first",
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) before optimizer.step()",
        "data without gaps: x.isfinite().all()",
        "torch.log(x.clamp(min=1e-12)), nn.CrossEntropyLoss from logits: no log or root of 0",
        "torch.bfloat16 in place of torch.float16, whose largest value is 65,504",
    )
    needs = ("not finite", "gradient rms")
    persists = 1

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        sizes = past.now.of("gradient rms").items()
        bad = [layer for layer, size in sizes if not math.isfinite(size)]
        began = past.not_finite or dict.fromkeys(bad[-1:], GRADIENT)
        for layer, kind in began.items():
            yield Sign(layer, WHAT[kind], {"kind": kind})
