"""How often the paired test finds a difference, where there is one and where there is none.

    python benchmarks/pairs.py

Studies are drawn: normal scores, an offset for each seed that all contenders share, and spreads
that are alike or not. "alone" is the paired t-test of each pair by itself, "moderated" the test of
talweg.study.pairs; both under Holm's correction over all pairs.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from talweg.study.pairs import SIGNIFICANCE, Pairs
from talweg.study.statistics import holm

STUDIES = 1500
MOVED = 4.0
"""Of the last contender, in standard deviations of a score; of a difference it is 2.8."""
SPREADS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "alike": lambda count, _: np.ones(count),
    "of all sizes": lambda count, draws: np.exp(0.7 * draws.normal(size=count)),
    "one 10 times": lambda count, _: np.where(np.arange(count) == 0, 10.0, 1.0),
    "a third 10 times": lambda count, _: np.where(np.arange(count) < count / 3, 10.0, 1.0),
}


def alone(scores: np.ndarray, pairs: list[tuple[int, int]]) -> list[float]:
    """Adjusted p of each pair by its own spread."""
    one, other = (scores[list(rows)] for rows in zip(*pairs, strict=True))
    return holm(stats.ttest_rel(one, other, axis=1).pvalue.tolist())


def drawn(count: int, seeds: int, kind: str) -> Iterator[np.ndarray]:
    draws = np.random.default_rng(count * 100 + seeds)
    for _ in range(STUDIES):
        spread = SPREADS[kind](count, draws)[:, None]
        yield draws.normal(size=(count, seeds)) * spread + 2 * draws.normal(size=seeds)


def main() -> None:
    shown = sys.stdout.write
    shown("rules seeds  spreads           found: alone moderated   wrongly: alone moderated\n")
    for count, seeds in ((3, 3), (3, 5), (7, 3), (7, 5), (21, 5)):
        for kind in SPREADS:
            right, wrong = np.zeros(2), np.zeros(2)
            for scores in drawn(count, seeds, kind):
                for moved in (0.0, MOVED):
                    scores[-1] -= moved
                    pairs = Pairs(scores.tolist())
                    both = alone(scores, pairs.pairs), [pairs.p(*pair) for pair in pairs.pairs]
                    last = np.array([pair[1] == count - 1 for pair in pairs.pairs])
                    for place, p in enumerate(both):
                        sure = np.array(p) < SIGNIFICANCE
                        if moved:
                            right[place] += sure[last].mean() / STUDIES
                        else:
                            wrong[place] += sure.any() / STUDIES
            shown(
                f"{count:5} {seeds:5}  {kind:16}  {right[0]:12.2f} {right[1]:9.2f} "
                f"{wrong[0]:16.3f} {wrong[1]:9.3f}\n"
            )


if __name__ == "__main__":
    main()
