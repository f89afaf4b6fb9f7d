"""The page of a watched run: complete, safe and drawn, whatever the run was like."""

import base64
import hashlib
import itertools
import json
import math
import re
from importlib import resources
from pathlib import Path

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs
from tests.browser import browser, needs_browser
from tests.report.reader import Reader

from talweg.core import UserError
from talweg.diagnose import DEMOS, DIAGNOSES, Health, Outcome
from talweg.diagnose.moment import Layer, Moment, RuleInUse, Setting
from talweg.report.health import demo_page, page
from talweg.report.health_curves import curves, thinned
from talweg.report.health_maps import maps
from talweg.report.health_marks import Run
from talweg.report.health_words import with_code
from talweg.report.pieces import plain

NASTY = "</script><script>alert(1)</script>"
CSS = "".join(
    resources.files("talweg.report").joinpath(name).read_text(encoding="utf-8")
    for name in ("style.css", "health.css")
)
VARIABLES = set(re.findall(r"(--[\w-]+): light-dark\([^)]*\);", CSS))


def health(
    layers: int = 3, steps: int = 100, every: int = 20, name: str = "{}", **change: float
) -> Health:
    """A run by made-up numbers; ``change`` sets a measure to a value from step 40 on."""
    found = Health(list(DIAGNOSES.values()), every, "light")
    names = [name.format(place) for place in range(layers)]
    found.setting = Setting([Layer(each, "Linear", "weight", "relu", 64) for each in names])
    found.setting = Setting(found.setting.layers, RuleInUse("SGD", momentum=0.9))
    found.losses = [2.3 * math.exp(-step / 50) for step in range(steps)]
    found.seconds = (10.0, 0.3)
    usual = {
        "backward norm": 1e-2,
        "gradient rms": 1e-3,
        "dead": 0.05,
        "saturated": 0.1,
        "update ratio": 1e-3,
        "mean": 0.1,
        "deviation": 1.0,
    }
    for step in range(0, steps, every):
        values = {
            measure: dict.fromkeys(names, value) for measure, value in reversed(usual.items())
        }
        if step >= 40:
            given = {key.replace("_", " "): value for key, value in change.items()}
            values |= {measure: dict.fromkeys(names, value) for measure, value in given.items()}
        values |= {"loss": {"": found.losses[step]}, "lr": {"": 0.1}}
        found.add(Moment(step, values))
    return found


def sharp() -> Health:
    found = health(every=10)
    for moment in found.moments[::5]:
        moment.values["sharpness"] = {"": 10.0 + moment.step}
        moment.values["edge"] = {"": 20.0}
    return found


def lost() -> Health:
    found = health(gradient_rms=math.nan, update_ratio=math.inf)
    found.losses[50:] = [math.inf, *[math.nan] * 49]
    return found


STATES = {
    "healthy": health,
    "dead": lambda: health(dead=0.6),
    "one layer": lambda: health(layers=1, dead=0.6),
    "200 layers": lambda: health(layers=200, saturated=0.9),
    "no step": lambda: health(steps=0),
    "one step": lambda: health(steps=1),
    "not measured": lambda: Health(list(DIAGNOSES.values()), 20, "light"),
    "not finite": lost,
    "long": lambda: health(steps=4000, every=5),
    "nasty": lambda: health(name=NASTY + "{}", dead=0.6),
    "sharp": sharp,
    "zeros": lambda: health(gradient_rms=0.0, deviation=0.0, update_ratio=0.0),
}


@pytest.fixture(params=STATES)
def any_health(request) -> Health:
    return STATES[request.param]()


def read(found: Health, tmp_path: Path) -> Reader:
    return Reader(found.report(tmp_path / "health.html").read_text(encoding="utf-8"))


def figures(found: Health):
    return [*curves([Run(found)]), *maps([Run(found)])]


def painted(value, key=""):
    """The same with real colours, as report.js would fill them in."""
    if isinstance(value, dict):
        return {name: painted(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [painted(inner, key) for inner in value]
    if isinstance(value, str) and value.startswith("--"):
        assert re.search("color(scale)?$", key)
        assert value.split()[0] in VARIABLES
        return "#123456"
    return value


def test_the_page_is_whole_safe_and_offline(any_health, tmp_path):
    reader = read(any_health, tmp_path)
    text = (tmp_path / "health.html").read_text(encoding="utf-8")
    own = text.replace(get_plotlyjs(), "")
    assert re.findall(r"https?:|@import|url\(|<link|\bsrc\s*=", own) == []
    policy = next(a["content"] for a in reader.all("meta") if "http-equiv" in a)
    executed = [script for place, script in enumerate(reader.scripts) if place != 1]
    hashes = {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in executed}
    assert policy.startswith("default-src 'none';")
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert len(reader.scripts) == 4
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in reader.all("a")} <= set(ids)


def test_no_number_is_shown_as_nan_or_infinity(any_health, tmp_path):
    reader = read(any_health, tmp_path)
    for constant in ("NaN", "Infinity"):
        assert constant not in reader.scripts[1]
    shown = re.sub(r"the loss is (inf|nan)", "", reader.text + json.dumps(reader.tags))
    assert re.findall(r"\b(nan|inf|None|NaN|Infinity)\b", shown) == []


def test_plotly_accepts_every_panel_in_every_view(any_health):
    for figure in figures(any_health):
        for panel, patch in itertools.product(figure.panels, [{}, *figure.views.values()]):
            picture = go.Figure(plain(painted(panel.data)), painted(panel.layout))
            picture.update_layout({path.replace(".", "_"): v for path, v in patch.items()})


def test_layers_lie_in_the_order_of_the_forward_pass_with_their_weights():
    found = health(layers=2)
    backwards = {"1.weight_hh_l0": 1.0, "other": 2.0, "1": 3.0, "0": 4.0}
    found.moments[0].values["gradient rms"] = backwards
    gradient = next(figure for figure in maps([Run(found)]) if figure.key == "gradient")
    heat, plot = gradient.panels[0].data[0], gradient.panels[0].layout
    assert heat["y"] == ["0", "1.weight_hh_l0", "1", "other"]
    assert plot["yaxis"]["range"] == [3.5, -0.5]
    assert heat["x"] == [0, 20, 40, 60, 80]
    assert [row[0] for row in heat["customdata"]] == [4.0, 1.0, 3.0, 2.0]
    assert [row[1] for row in heat["customdata"]] == [1e-3, None, 1e-3, None]


def test_colours_go_by_the_logarithm_and_that_of_updates_is_centred_at_a_thousandth():
    drawn = {figure.key: figure.panels[0].data[0] for figure in maps([Run(health())])}
    assert drawn["gradient"]["z"][0][0] == -3
    update = drawn["update"]
    assert (update["zmin"] + update["zmax"]) / 2 == update["z"][0][0] == -3
    assert (drawn["dead"]["zmin"], drawn["dead"]["zmax"]) == (0, 1)


def test_measures_that_were_not_taken_have_no_map():
    found = health()
    for moment in found.moments:
        del moment.values["saturated"]
        moment.values["dead"] = {}
    assert {"saturated", "dead"}.isdisjoint(figure.key for figure in maps([Run(found)]))


def test_a_finding_is_framed_where_and_while_it_was_there():
    found = health(layers=4, steps=200)
    for moment in found.moments[3:6]:
        moment.values["dead"].update({"1": 0.9, "2": 0.9})
    again = Health(found.diagnoses, 20, "light")
    again.setting, again.losses = found.setting, found.losses
    for moment in found.moments:
        again.add(moment)
    run = Run(again)
    (number,) = {run.numbers["dead units"]}
    by_key = {figure.key: figure.panels[0].layout for figure in maps([run])}
    (frame,) = by_key["dead"]["shapes"]
    assert (frame["x0"], frame["x1"], frame["y0"], frame["y1"]) == (50, 110, 0.5, 2.5)
    assert [note["text"] for note in by_key["dead"]["annotations"]] == [f"<b>{number}</b>"]
    assert by_key["saturated"]["shapes"] == []


def test_what_is_not_finite_is_crossed_out():
    drawn = {figure.key: figure.panels[0].data for figure in maps([Run(lost())])}
    _, crosses = drawn["gradient"]
    assert len(crosses["x"]) == 3 * 3
    assert set(crosses["x"]) == {40, 60, 80}
    assert len(drawn["dead"]) == 1


def test_a_long_run_is_drawn_with_fewer_columns_and_points():
    found = health(steps=4000, every=5)
    steps = maps([Run(found)])[0].panels[0].data[0]["x"]
    assert len(steps) == 300
    assert (steps[0], steps[-1]) == (0, 3995)
    assert len(thinned(found.losses)) < 1500
    assert thinned([1.0, math.nan, 3.0])[2] == (2, 3.0)


def test_the_headline_is_the_worst_finding_or_that_there_is_none(tmp_path):
    def headline(found: Health) -> str:
        text = found.report(tmp_path / "health.html").read_text()
        return re.search(r"<h1[^>]*>(.*?)</h1>", text).group(1)

    assert headline(health()) == "Healthy: nothing found in 100 steps"
    assert headline(health(dead=0.6)) == "Dead units in layer 0: 60% of its 64 units are dead"
    assert headline(health(steps=1)) == "Nothing found in 1 step: too few to call it healthy"
    assert headline(health(steps=0)) == "Nothing was measured in 0 steps"


def test_findings_are_cards_that_say_all_of_them(tmp_path):
    found = health(layers=20, dead=0.6)
    reader = read(found, tmp_path)
    assert [a["class"] for tag, a in reader.tags if tag == "article"] == ["finding problem"]
    said = re.sub(r"\s+", " ", reader.text)
    for one in found.findings:
        assert one.text in said
        assert one.meaning in said
    assert "from step 40, there at the end" in said
    assert "8 more" in said
    assert "nn.LeakyReLU()" in said


def test_a_finding_that_passed_says_when(tmp_path):
    found = health(steps=60)
    for step in range(100, 200, 20):
        values = dict.fromkeys("012", 0.9 if step == 100 else 0.0)
        found.add(Moment(step, {"dead": values}))
    assert found.findings[0].passed == 120
    said = read(found, tmp_path).text
    assert "from step 100 to 120" in said
    assert "until step 120" in said


def coming_and_going(spells: int) -> Health:
    """A run whose units are dead at two of every four measured steps."""
    found = health(layers=1, steps=80 * spells)
    again = Health(found.diagnoses, 20, "light")
    again.setting, again.losses = found.setting, found.losses
    for place, moment in enumerate(found.moments):
        moment.values["dead"] = {"0": 0.9 if place % 4 > 1 else 0.0}
        again.add(moment)
    return again


def test_every_spell_of_a_finding_is_marked_in_maps_and_curves():
    run = Run(coming_and_going(3))
    (one,) = run.health.findings
    assert one.spells == ((40, 80), (120, 160), (200, None))
    drawn = {figure.key: figure.panels[0].layout for figure in figures(run.health)}
    assert [(shape["x0"], shape["x1"]) for shape in drawn["dead"]["shapes"]] == [
        (30, 70), (110, 150), (190, 230)
    ]  # fmt: skip
    assert [shape["x0"] for shape in drawn["loss"]["shapes"]] == [40, 120, 200]
    assert [note["x"] for note in drawn["loss"]["annotations"]] == [40, 120, 200]


def test_a_finding_that_comes_back_often_does_not_hide_the_curve_behind_its_numbers():
    drawn = {figure.key: figure.panels[0].layout for figure in figures(coming_and_going(40))}
    assert len(drawn["loss"]["shapes"]) == 40
    assert len(drawn["loss"]["annotations"]) == 24


def test_texts_of_users_are_escaped_everywhere(tmp_path):
    found = health(name=NASTY + "{}", dead=0.6)
    found.notes.append(f"note {NASTY}")
    reader = read(found, tmp_path)
    text = (tmp_path / "health.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert f"{NASTY}0" in reader.text
    assert f"note {NASTY}" in reader.text
    assert not set("<>&") & set(reader.scripts[1])
    rows = reader.payload["figures"][1]["panels"][0]["data"][0]["y"]
    assert rows[0].startswith("&lt;/script&gt;")


def test_a_rate_that_does_not_change_is_a_fact_and_no_figure(tmp_path):
    found = health()
    assert "rate" not in {figure.key for figure in figures(found)}
    assert "Learning rate  0.1" in re.sub(r"\s+", "  ", read(found, tmp_path).text).replace(
        "Learning  rate", "Learning rate"
    )
    found.moments[-1].values["lr"][""] = 0.01
    assert "rate" in {figure.key for figure in figures(found)}
    assert "0.1 to 0.01" in read(found, tmp_path).text


def test_the_rate_lies_beside_the_edge_and_not_beside_the_sharpness():
    drawn = {one.key: one for one in figures(sharp())}
    rate, edge = drawn["rate"].panels[0].data
    assert (rate["y"][0], edge["y"][0]) == (0.1, 20.0)
    assert drawn["rate"].panels[0].layout["showlegend"]
    (sharpness,) = drawn["sharpness"].panels[0].data
    assert sharpness["y"][0] == 10.0
    assert not drawn["sharpness"].panels[0].layout["showlegend"]
    assert "sharpness" not in {one.key for one in figures(health())}


def test_two_runs_lie_side_by_side_with_one_scale():
    demo = DEMOS["dead"]
    ill, cured = health(dead=0.6), health(gradient_rms=1e-6)
    outcomes = [Outcome(demo.ill, ill, 0.3), Outcome(demo.recipes[1], cured, 0.98)]
    reader = Reader(demo_page(demo, outcomes))
    drawn = {figure["key"]: figure["panels"] for figure in reader.payload["figures"]}
    for panels in drawn.values():
        assert [panel["title"] for panel in panels] == ["The disease", "The cure"]
    for key in ("gradient", "dead", "update"):
        one, other = (panel["data"][0] for panel in drawn[key])
        assert (one["zmin"], one["zmax"]) == (other["zmin"], other["zmax"])
    assert "30.0%" in reader.text
    assert "98.0%" in reader.text
    assert len(reader.all("span", "changed")) == 2


def test_code_is_told_from_words():
    remedies = [line for one in DIAGNOSES.values() for line in one.remedies]
    code = [
        found for line in remedies for found in re.findall("<code>(.*?)</code>", with_code(line))
    ]
    assert "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)" in code
    assert "x.isfinite().all()" in code
    assert "nn.ReLU()" in code
    assert with_code("a lower learning rate, if weights came first") == (
        "a lower learning rate, if weights came first"
    )


def test_a_place_that_cannot_be_written_is_told_in_a_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*health.html': no such file or directory"):
        health().report(tmp_path / "no" / "health.html")
    with pytest.raises(UserError, match=r"cannot write .*: is a directory"):
        health().report(tmp_path)
    with pytest.raises(UserError, match=r"cannot write '\\x00': embedded null byte"):
        health().report("\0")


@pytest.mark.parametrize("given", ["", 3, None, b"health.html"])
def test_what_is_no_path_is_told_in_a_line(given):
    with pytest.raises(UserError, match=f"a file's place is a path, got {given!r}"):
        health().report(given)


DRAWN = "[...document.querySelectorAll('.canvas')]"


def until_drawn(opened, path: Path) -> None:
    opened.open(path)
    opened.until("document.documentElement.classList.contains('drawn')")
    opened.until(f"{DRAWN}.every(box => box.querySelector('.main-svg'))")


@needs_browser
def test_a_browser_draws_every_figure_without_a_complaint_wide_and_narrow(tmp_path):
    demo = DEMOS["dead"]
    outcomes = [Outcome(demo.ill, health(dead=0.6), 0.3), Outcome(demo.recipes[1], health(), 0.9)]
    pages = {"pair": (demo_page(demo, outcomes), None)}
    for state in ("nasty", "not finite", "not measured", "200 layers"):
        keys = [f"{figure.key}-0" for figure in figures(STATES[state]())]
        pages[state] = (page([Run(STATES[state]())], "over", "head"), keys)
    (tmp_path / "profile").mkdir()
    path = tmp_path / "health.html"
    with browser(tmp_path / "profile") as opened:
        for (state, (text, keys)), width in itertools.product(pages.items(), (1200, 400)):
            path.write_text(text, encoding="utf-8")
            opened.resize(width, 900)
            until_drawn(opened, path)
            assert opened.ask(f"{DRAWN}.map(box => box.id)") == keys or keys is None
            assert opened.ask("document.documentElement.scrollWidth <= innerWidth"), state
            if state == "nasty":
                number = "document.querySelector('#dead .annotation-text').textContent"
                assert opened.ask(number) == "1"
                names = "document.querySelector('#dead .yaxislayer-above').textContent"
                assert "</script>" in opened.ask(names)
        assert opened.complaints == []


def test_one_page_is_made_of_one_run():
    text = page([Run(health())], "over", "head")
    assert text.count("<h1") == 1
    assert 'class="beside"' not in text
