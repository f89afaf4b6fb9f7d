"""What the layers of lanes give, taken while they are evaluated."""

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from talweg.diagnose.comes_by import Site
from talweg.diagnose.layers import called
from talweg.diagnose.measures import OF_ACTIVITY, Activity
from talweg.diagnose.measures.measure import numbers
from talweg.diagnose.recognise import first_tensor
from talweg.diagnose.taps import Pair

SPLIT = "layers"
"""What takes the place of a part of the data in the readings of a probe."""


class Probe:
    """Takes the light measurements of a model's layers in one forward pass, `vmap` or not.

    Args:
        sites: Where what layers give comes by, in a model of the same structure.
    """

    split = SPLIT

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites: dict[tuple[str, bool, int], Site] = {
            (site.module, site.is_given, site.call): site for site in sites
        }
        self._measures = [each for each in OF_ACTIVITY.values() if each.tier == "light"]

    @contextmanager
    def attached(self, module: nn.Module) -> Generator[dict[str, Tensor]]:
        """Inside, a forward pass of a module fills in what was taken.

        Gives:
            ``"measure layer"`` → a number.
        """
        taken: dict[str, Tensor] = {}
        calls: Counter[tuple[str, bool]] = Counter()

        def take(name: str, is_given: bool, given: Any) -> None:
            site = self._sites.get((name, is_given, calls[name, is_given]))
            calls[name, is_given] += 1
            values = first_tensor(given, or_batched=True)
            if site is not None and values is not None:
                seen = site.seen(values)
                told = numbers(self._measures, Activity(seen, site.dim, site.activation))
                taken.update((f"{name} {site.layer}", number) for name, number in told.items())

        wanted = {name for name, _, _ in self._sites}
        named = {called(name, module): own for name, own in module.named_modules()}
        pairs: list[Pair] = []
        for name in wanted & named.keys():

            def before(_: nn.Module, given: Any, more: Any, name: str = name) -> None:
                take(name, True, given or more)

            def after(_: nn.Module, __: Any, given: Any, name: str = name) -> None:
                take(name, False, given)

            pairs.append(Pair(named[name], before, after))
        try:
            for pair in pairs:
                pair.put()
            yield taken
        finally:
            for pair in pairs:
                pair.remove()
