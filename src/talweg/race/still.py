"""A race as a still picture, PNG or SVG."""

from io import BytesIO
from typing import Any

import numpy as np

from talweg.core import UserError
from talweg.race.batches import batch_minima
from talweg.race.colours import COLOURS, FAINT, INK, PAPER, SOFT
from talweg.race.contours import contours
from talweg.race.result import Race

LEVELS = 22
INCHES, DOTS = (10.0, 7.0), 150
LOOK: dict[Any, Any] = {
    "font.family": "sans-serif", "font.size": 11, "text.color": INK, "axes.edgecolor": FAINT,
    "axes.labelcolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT, "figure.facecolor": PAPER,
    "axes.facecolor": "white", "savefig.facecolor": PAPER, "svg.hashsalt": "talweg",
}  # fmt: skip


def still(race: Race, form: str) -> bytes:
    """The picture as a file's content; the same race gives the same bytes.

    Args:
        race: A race on a landscape of two coordinates.
        form: ``"png"`` or ``"svg"``.

    Raises:
        UserError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            f"a {form} picture needs matplotlib: pip install 'talweg[pictures]' "
            f"(an html one needs nothing)"
        ) from error
    with mpl.rc_context(LOOK):
        drawn = Figure(INCHES, layout="constrained")
        FigureCanvasAgg(drawn)
        _draw(drawn.add_subplot(), race)
        file = BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        drawn.savefig(file, format=form, dpi=DOTS, metadata=metadata)
    return file.getvalue()


def _draw(axes: Any, race: Race) -> None:
    landscape = race.landscape
    (left, low), (right, high) = landscape.window
    for line in contours(landscape, LEVELS):
        axes.plot(*line.T, color=FAINT, linewidth=0.7, zorder=1)
    if race.batch_size is not None:
        spread = batch_minima(landscape, race.batch_size)
        axes.scatter(*spread.T, s=4, color=SOFT, alpha=0.35, linewidths=0, zorder=1.5,
                     label=f"minima of batches of {race.batch_size}")  # fmt: skip
    width = 1.6 if race.exact else 0.9
    for place, racer in reversed(list(enumerate(race.racers))):
        colour = COLOURS[place % len(COLOURS)]
        if racer.exact_path is not None:
            axes.plot(*racer.exact_path.T.numpy(), color=colour, linewidth=1, linestyle=":",
                      zorder=2)  # fmt: skip
        path = racer.path.numpy()
        axes.plot(*path.T, color=colour, linewidth=width, zorder=3, label=racer.summary)
        ends = path[np.isfinite(path).all(1)][-1:]
        axes.plot(*ends.T, "o", color=colour, markersize=6, zorder=4)
    axes.plot(*landscape.start, "o", markersize=8, markerfacecolor=PAPER, markeredgecolor=INK,
              zorder=5)  # fmt: skip
    for saddle in landscape.saddles:
        axes.plot(*saddle, "x", color=INK, markersize=8, markeredgewidth=2, zorder=5)
    axes.plot(*np.array(landscape.minima).T, "*", color=INK, markersize=13, linestyle="", zorder=5)
    names = race.coordinates
    axes.set(xlim=(left, right), ylim=(low, high), xlabel=names[0], ylabel=names[1])
    axes.set_title(race.sentences[0], loc="left", fontsize=14, pad=24)
    axes.text(0, 1.015, race.described, transform=axes.transAxes, color=SOFT, fontsize=10)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.01, 1.0),
                frameon=False)  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
