"""Measures of a watched run that are drawn as heat maps."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Values = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Map:
    """A measure that is drawn as a heat map.

    Args:
        key: The figure's id.
        title: Its headline.
        meaning: What a cell shows.
        marks: Measures whose findings are marked on it.
        take: What was measured at a step → layer → value.
        colours: The start of the names of the CSS variables of its colours.
        is_log: Whether colours go by the logarithm.
        ends: The values of the first and the last colour; None for those that occur.
        is_share: Whether values are shown in percent.
    """

    key: str
    title: str
    meaning: str
    marks: tuple[str, ...]
    take: Callable[[Values], Mapping[str, float]]
    colours: str = "--size"
    is_log: bool = False
    ends: tuple[float, float] | None = None
    is_share: bool = False

    def shown(self, value: float) -> str:
        """A value in words."""
        return f"{100 * value:.0f}%" if self.is_share else f"{value:.3g}"

    def scaled(self, value: float, lowest: float) -> float | None:
        """Where a value lies on the colour scale; None where it is no number."""
        if not math.isfinite(value):
            return None
        return round(math.log10(max(value, lowest)), 3) if self.is_log else float(f"{value:.3g}")


def _of(measure: str) -> Callable[[Values], Mapping[str, float]]:
    return lambda values: values.get(measure, {})


def _off_centre(values: Values) -> Mapping[str, float]:
    deviations = values.get("deviation", {})
    return {
        name: abs(mean) / deviations[name]
        for name, mean in values.get("mean", {}).items()
        if deviations.get(name)
    }


MAPS = (
    Map(
        "gradient", "Gradient", "Root mean square of the gradient in a layer’s weights",
        ("gradient rms", "not finite"), _of("gradient rms"), is_log=True,
    ),
    Map(
        "backward", "Gradient in outputs", "Norm of the loss’s gradient in what a layer gives",
        ("backward norm",), _of("backward norm"), is_log=True,
    ),
    Map(
        "dead", "Dead units", "Share of a layer’s units that give 0 on every sample",
        ("dead",), _of("dead"), "--bad", ends=(0.0, 1.0), is_share=True,
    ),
    Map(
        "saturated", "Saturation", "Share of a layer’s outputs where its activation is flat",
        ("saturated",), _of("saturated"), "--bad", ends=(0.0, 1.0), is_share=True,
    ),
    Map(
        "update", "Updates", "Size of an update as a share of its weights; about 0.001 is usual",
        ("update ratio",), _of("update ratio"), "--pace", is_log=True, ends=(1e-6, 1.0),
    ),
    Map(
        "off-centre", "Off centre", "Distance of a layer’s mean output from 0, in deviations",
        ("mean",), _off_centre, "--bad", ends=(0.0, 3.0),
    ),
    Map(
        "one-signed", "One sign", "Share of units whose weights’ gradients have one sign",
        ("one-signed",), _of("one-signed"), "--bad", ends=(0.0, 1.0), is_share=True,
    ),
    Map(
        "deviation", "Deviation", "Standard deviation of a layer’s outputs",
        (), _of("deviation"), is_log=True,
    ),
)  # fmt: skip
