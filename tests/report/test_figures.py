"""Figures and table: valid for Plotly, one look per rule, ties and outliers where they belong."""

import itertools
import json
import math
import re
from dataclasses import replace
from importlib import resources

import plotly.graph_objects as go
import pytest

from talweg.report.drawing import Drawing
from talweg.report.figures import figures
from talweg.report.marks import COLOURS, Mark, marks
from talweg.report.pieces import plain
from talweg.report.scale import Scale, close_up, whole
from talweg.report.table import ranking_table, tie_bars
from talweg.study import views

CSS = resources.files("talweg.report").joinpath("style.css").read_text(encoding="utf-8")
VARIABLES = dict(re.findall(r"(--[\w-]+): (light-dark\([^)]*\));", CSS))


def drawn(study):
    looks = marks(views.names(study))
    labels = {rule["name"]: rule["label"] for rule in study.record["contenders"]}
    return {figure.key: figure for figure in figures(study, looks, labels)}


def painted(value, key=""):
    """The same with real colours, as report.js would fill them in."""
    if isinstance(value, dict):
        return {name: painted(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [painted(inner, key) for inner in value]
    if isinstance(value, str) and value.startswith("--"):
        assert key.endswith("color")
        assert value.split()[0] in VARIABLES
        return "#123456"
    return value


@pytest.mark.parametrize(
    "features",
    [
        {},
        {"kind": "regression", "metric": "r2"},
        {"seeds": 1, "tune_seeds": 1},
        {"measured": 60},
        {"everything_diverges": True},
        {"prunes": True},
    ],
)
def test_plotly_accepts_every_panel_in_every_view(make_study, features):
    for figure in drawn(make_study(**features)).values():
        for panel, patch in itertools.product(figure.panels, [{}, *figure.views.values()]):
            picture = go.Figure(plain(painted(panel.data)), painted(panel.layout))
            picture.update_layout({path.replace(".", "_"): v for path, v in patch.items()})


def test_a_rule_has_one_colour_in_all_figures_and_in_the_table(make_study):
    study = make_study()
    table = ranking_table(study, marks(views.names(study)))
    for index, rule in enumerate(views.names(study)):
        traces = [
            trace
            for figure in drawn(study).values()
            for panel in figure.panels
            for trace in panel.data
            if trace["legendgroup"] == rule
        ]
        assert len(traces) == 3 + 2 * 3 + 3
        used = set(re.findall(r"--rule-\d+", json.dumps(traces)))
        assert used == {f"--rule-{index}"}
        row = re.search(rf'<tr role="row" data-contender="{rule}".*?</tr>', table).group()
        assert set(re.findall(r"--rule-\d+", row)) == {f"--rule-{index}"}


def test_looks_differ_for_four_dozen_rules():
    looks = {(mark.colour, mark.symbol, mark.dash) for mark in map(Mark, range(48))}
    assert len(looks) == 48
    assert all(f"--rule-{index}" in VARIABLES for index in range(COLOURS))


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other, theme):
    pair = [re.findall(r"#\w{6}", VARIABLES[name])[theme] for name in (one, other)]
    dark, light = sorted(map(luminance, pair))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_meets_aa(theme):
    for paper in ("--paper", "--surface", "--wash"):
        for text in ("--ink", "--ink-soft", "--accent"):
            assert contrast(text, paper, theme) >= 4.5, (text, paper)
    assert contrast("--warn", "--warn-wash", theme) >= 4.5
    assert contrast("--ink", "--warn-wash", theme) >= 4.5
    for index in range(COLOURS):
        assert contrast(f"--rule-{index}", "--paper", theme) >= 3


def test_the_rates_figure_shows_scores_chosen_rates_and_diverged_lanes(make_study):
    study = make_study()
    points = views.sensitivity(study)["adam"]
    panel = drawn(study)["rates"].panels[0]
    line = next(t for t in panel.data if t["uid"].endswith("line") and t["legendgroup"] == "adam")
    trained = [point for point in points if point.n]
    assert line["x"] == [point.lr for point in trained]
    assert line["y"] == [100 * point.mean for point in trained]
    chosen = next(row.lr for row in study.ranking if row.rule == "adam")
    assert line["x"][line["marker"]["size"].index(13)] == chosen
    assert line["marker"]["size"].count(13) == 1
    crosses = next(
        t for t in panel.data if t["uid"].endswith("crosses") and t["legendgroup"] == "adam"
    )
    assert crosses["x"] == [point.lr for point in points if point.diverged]
    assert crosses["x"]


def test_rates_that_were_stopped_are_on_no_line_and_in_no_close_up(make_study):
    study = make_study(prunes=True)
    points = views.sensitivity(study)["adam"]
    ended = [point for point in points if point.stopped]
    figure = drawn(study)["rates"]
    own = {
        t["uid"].partition("-")[2]: t for t in figure.panels[0].data if t["legendgroup"] == "adam"
    }
    assert own["stopped"]["x"] == [point.lr for point in ended]
    assert own["stopped"]["y"] == [100 * point.mean for point in ended]
    assert own["stopped"]["customdata"] == [51] * len(ended)
    assert ended
    assert not set(own["line"]["x"]) & set(own["stopped"]["x"])
    assert "rings" in figure.how_to_read
    assert sum(row[0] == "Adam" and row[-1] == "51" for row in figure.numbers[1]) == len(ended)
    assert "rings" not in drawn(make_study())["rates"].how_to_read


def test_the_table_tells_a_range_of_rates_that_may_be_wider(make_study):
    study = make_study(prunes=True)
    least = [row for row in study.ranking if row.good_is_least]
    assert least
    assert ranking_table(study, marks(views.names(study))).count("at least") == len(least)


def test_bands_run_along_the_highest_and_back_along_the_lowest(make_study):
    study = make_study()
    curve = views.curves(study, "validation", "accuracy")["sgd"]
    panel = drawn(study)["scores"].panels[0]
    band = next(t for t in panel.data if t["uid"].endswith("band") and t["legendgroup"] == "sgd")
    assert band["y"] == pytest.approx([*(100 * curve.high), *(100 * curve.low[::-1])])
    assert band["x"] == [*curve.epochs, *curve.epochs[::-1]]


def test_losses_are_drawn_in_the_logarithm_only_if_they_are_positive(make_study):
    study = make_study()
    shown = next(iter(drawn(study)["losses"].views.values()))
    assert shown["yaxis.type"] == "log"
    low, high = shown["yaxis.range"]
    values = [v for c in views.curves(study, "validation", "loss").values() for v in c.high]
    assert low < math.log10(min(values)) < math.log10(max(values)) < high
    table = study.metrics
    zero = [
        0.0 if metric == "loss" else v
        for metric, v in zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True)
    ]
    flat = type(study)(study.record, table.set_column(5, "value", [zero]), study.folder)
    assert list(drawn(flat)["losses"].views) == ["Linear"]


def test_a_diverged_seed_is_a_cross_at_the_constant_prediction(make_study):
    panel = drawn(make_study(everything_diverges=True))["seeds"].panels[0]
    seeds = next(t for t in panel.data if t["uid"].endswith("line"))
    assert set(seeds["marker"]["symbol"]) == {"x-thin"}
    assert seeds["x"] == pytest.approx([10.17] * 5)
    assert len(set(seeds["y"])) == 5


def test_figures_without_anything_to_show_are_left_out(make_study):
    assert list(drawn(make_study())) == ["rates", "losses", "scores", "seeds"]
    assert list(drawn(make_study(everything_diverges=True))) == ["rates", "seeds"]
    assert list(drawn(make_study(measured=0))) == []


def test_the_numbers_behind_a_figure_are_all_there(make_study):
    study = make_study()
    found = drawn(study)
    assert len(found["rates"].numbers[1]) == 7 * 9
    assert len(found["losses"].numbers[1]) == 20 + 21
    assert len(found["seeds"].numbers[1]) == 7 * 5
    for figure in found.values():
        headers, rows = figure.numbers
        assert {len(row) for row in rows} == {len(headers)}


def rows_tied(make_study, *pairs):
    """Four rows of a ranking, the given pairs of them tied."""
    rows = make_study(rules=("adam", "sgd", "momentum", "nesterov")).ranking
    tied = {frozenset(pair) for pair in pairs}
    return [
        replace(
            row,
            ties=tuple(other.label for j, other in enumerate(rows) if frozenset((i, j)) in tied),
        )
        for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("pairs", "bars"),
    [
        ([], [[], [], [], []]),
        ([(0, 1)], [["first"], ["last"], [""], [""]]),
        ([(0, 1), (2, 3)], [["first"], ["last"], ["first"], ["last"]]),
        ([(0, 1), (1, 2), (0, 2)], [["first"], ["inner"], ["last"], [""]]),
        ([(0, 1), (1, 2)], [["first", ""], ["last", "first"], ["", "last"], ["", ""]]),
        ([(0, 3)], [[], [], [], []]),
    ],
)
def test_bars_join_neighbours_that_are_all_tied(make_study, pairs, bars):
    assert tie_bars(rows_tied(make_study, *pairs)) == bars


def test_a_rule_far_behind_is_an_arrow_and_does_not_squeeze_the_others(make_study):
    study = make_study()
    rows = study.ranking
    far = replace(rows[-1], score=0.1, low=0.09, high=0.11, gap=0.1 - rows[0].score)
    study.__dict__["ranking"] = [*rows[:-1], far]
    table = ranking_table(study, marks(views.names(study)))
    assert table.count('class="off low"') == 1
    widths = [
        float(end) - float(start)
        for start, end in re.findall(r'class="interval" d="M([\d.]+) 50H([\d.]+)"', table)
    ]
    assert len(widths) == len(rows) - 1
    assert min(widths) > 5


def test_equal_ends_give_a_scale_that_can_be_drawn():
    flat = Scale(0.5, 0.5)
    assert flat.percent(0.5) == 50
    assert flat.ticks() == [0.5]
    assert whole([0.5, 0.5]) == (0.475, 0.525)
    assert whole([math.nan]) is None


def sharp(*values):
    """Rules whose seeds do not scatter."""
    return [(value, value, value) for value in values]


def test_the_close_up_holds_the_better_half_and_its_seeds():
    assert close_up(sharp(0.9), best_is_high=True) is None
    assert close_up(sharp(0.9, 0.9, 0.2), best_is_high=True) is None
    assert close_up([*sharp(0.9, math.nan)], best_is_high=True) is None
    low, high = close_up(sharp(40.0, 41.0, 1e6), best_is_high=False)
    assert low < 40 < 41 < high < 50
    low, high = close_up([(0.7, 0.9, 0.95), *sharp(0.89, 0.2)], best_is_high=True)
    assert low <= 0.7 < 0.95 <= high


def test_the_close_up_comes_first_where_the_whole_hides_everything(make_study):
    draw = Drawing(make_study(kind="regression", metric="rmse"), {}, {})

    def names(*values):
        return list(draw.score_views(values, sharp(*values), patience=25))

    assert names(40, 41, 1e6) == ["Close-up", "Whole range"]
    assert names(40, 41, 50) == ["Whole range", "Close-up"]
    assert names(40, 40.5) == ["Whole range"]
