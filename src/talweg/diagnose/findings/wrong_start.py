"""A loss that starts far from that of a constant prediction."""

from collections.abc import Iterator
from dataclasses import dataclass

from talweg.diagnose.findings.finding import Diagnosis, Sign
from talweg.diagnose.moment import WHOLE, Past


@dataclass(frozen=True)
class WrongStart(Diagnosis):
    """The first loss is many times that of a constant prediction.

    Args:
        times: How many times, at least, for a problem.
        some: How many times, at least, for a warning: usual ways of drawing weights start at 1 to
            3.5 times in ``benchmarks/findings.py``, most where squared errors are taken of outputs
            that are as large as the targets, and where much is dropped out.

    Source: Karpathy, "A recipe for training neural networks" (2019): "verify loss @ init".
    """

    times: float = 4.5
    some: float = 2.0

    name = "wrong start"
    meaning = (
        "Before it has learned anything a model should do about as well as a constant prediction "
        "(ln C for C classes). It starts out sure of what is wrong, and first unlearns that."
    )
    remedies = (
        "smaller weights in the last layer",
        "targets of mean 0 and standard deviation 1, for regression",
        "labels that are checked: are they those of these inputs?",
        "a last bias that starts at the classes' log frequencies",
    )
    needs = ("constant loss",)
    persists = 1
    is_of_a_moment = True

    def signs(self, past: Past) -> Iterator[Sign]:
        """See `Diagnosis.signs`."""
        constant, loss = past.now.one("constant loss"), past.now.one("loss")
        if (
            constant is not None
            and loss is not None
            and loss > min(self.some, self.times) * constant > 0
        ):
            yield Sign(
                WHOLE,
                f"the first loss is {loss:.3g}; a constant prediction has {constant:.3g}",
                {"loss": loss, "constant loss": constant, "threshold": self.times},
                "problem" if loss > self.times * constant else "warning",
            )
