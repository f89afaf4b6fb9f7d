"""What a figure is: Plotly panels, the views one can switch between, and its numbers as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from talweg.report.marks import Mark
from talweg.report.pieces import escape, number_table


@dataclass(frozen=True)
class Panel:
    """One Plotly plot. Colours are names of CSS variables, such as ``"--rule-0 0.15"``.

    Args:
        title: What the vertical axis shows; it stands above the plot.
        data: Plotly traces; ``legendgroup`` is the contender's name.
        layout: The Plotly layout, from `layout`.
        height: In pixels.
    """

    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 380


@dataclass(frozen=True)
class Figure:
    """One figure of the report.

    Args:
        key: Its id in the page.
        title: Its headline.
        panels: Its plots, side by side where there is room.
        how_to_read: One line below.
        alternative: What it shows, for those who do not see it.
        numbers: The table behind it: headers and rows, the first ``texts`` columns being words.
        contenders: The contenders in it, by name.
        views: Label → what to change in every panel's layout; the first one is shown, and
            buttons choose where there are several.
        texts: See ``numbers``.
        legend: Whether its contenders are named by a legend.
    """

    key: str
    title: str
    panels: Sequence[Panel]
    how_to_read: str
    alternative: str
    numbers: tuple[Sequence[str], Sequence[Sequence[str]]]
    contenders: Sequence[str]
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    texts: int = 1
    legend: bool = True


def figure_html(figure: Figure, marks: Mapping[str, Mark], labels: Mapping[str, str]) -> str:
    """The figure's place in the page; report.js draws the plots into it."""
    buttons = "".join(
        f'<button type="button" data-view="{escape(view)}" aria-pressed="{_flag(place == 0)}">'
        f"{escape(view)}</button>"
        for place, view in enumerate(figure.views)
    )
    views = f'<div class="views" role="group" aria-label="View">{buttons}</div>'
    chips = "".join(
        f'<button type="button" class="chip" data-contender="{escape(name)}" aria-pressed="true">'
        f"{marks[name].swatch}{escape(labels[name])}</button>"
        for name in figure.contenders
    )
    legend = f'<div class="legend" role="group" aria-label="Shown">{chips}</div>'
    panels = "".join(
        f'<div class="panel"><p class="panel-title">{escape(panel.title)}</p>'
        f'<div class="canvas" id="{figure.key}-{place}" style="height:{panel.height}px" '
        f'role="img" aria-label="{escape(figure.title)}: {escape(panel.title)}. '
        f'{escape(figure.alternative)}"></div></div>'
        for place, panel in enumerate(figure.panels)
    )
    table = number_table(figure.title, *figure.numbers, texts=figure.texts)
    return (
        f'<figure id="{figure.key}" data-figure="{figure.key}">'
        f'<div class="figure-head"><h3>{escape(figure.title)}</h3>'
        f"{views if len(figure.views) > 1 else ''}</div>"
        f"{legend if figure.legend else ''}"
        f'<div class="panels count-{len(figure.panels)}">{panels}</div>'
        f"<figcaption>{escape(figure.how_to_read)}</figcaption>"
        f'<div class="figure-foot"><details><summary>Numbers</summary>{table}</details>'
        f'<button type="button" class="save" data-save="{figure.key}">Save as SVG</button></div>'
        f"</figure>"
    )


def figure_json(figure: Figure) -> dict[str, Any]:
    """What report.js needs to draw it."""
    return {
        "key": figure.key,
        "views": figure.views,
        "panels": [
            {"title": panel.title, "data": panel.data, "layout": panel.layout}
            for panel in figure.panels
        ],
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"


def layout(x: Mapping[str, Any], y: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The layout that all plots share, with its axes.

    Args:
        x: What is particular about the horizontal axis.
        y: What is particular about the vertical axis.
        more: Other layout entries.
    """
    return {
        "paper_bgcolor": "--paper",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "--ink-soft", "size": 12},
        "margin": {"l": 8, "r": 12, "t": 6, "b": 8, "pad": 4},
        "showlegend": False,
        "hoverlabel": {"bgcolor": "--surface", "bordercolor": "--line", "font": {"color": "--ink"}},
        "xaxis": axis(x),
        "yaxis": axis({"showline": False, **y}),
        **more,
    }


def axis(particular: Mapping[str, Any]) -> dict[str, Any]:
    """A calm axis: faint grid, no zero line, room for its labels."""
    return {
        "automargin": True,
        "gridcolor": "--grid",
        "linecolor": "--line",
        "zeroline": False,
        "fixedrange": False,
        **particular,
    }


def level(value: float, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A horizontal line across a plot and the words on it: a layout's shape and annotation."""
    line = {"color": "--ink-faint", "width": 1, "dash": "dot"}
    shape = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": "y",
        "y0": value,
        "y1": value,
        "line": line,
        "layer": "below",
    }
    words = {
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "yref": "y",
        "y": value,
        "yanchor": "bottom",
        "text": escape(text),
        "showarrow": False,
        "font": {"size": 11, "color": "--ink-soft"},
    }
    return shape, words
