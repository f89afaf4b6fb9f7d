"""Pictures of races: what lies in them, and that the page plays in a browser."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.browser import browser, needs_browser

import talweg
from talweg import report, rules
from talweg.landscapes import LANDSCAPES, LineFit
from talweg.race import race
from talweg.race.batches import batch_minima
from talweg.race.colours import COLOURS
from talweg.race.contours import contours
from talweg.race.terminal import Canvas, drawn


def test_colours_are_those_of_the_report():
    style = (Path(report.__file__).parent / "style.css").read_text()
    assert tuple(re.findall(r"--rule-\d+: light-dark\((#\w+),", style)) == COLOURS


def test_contours_lie_at_one_height():
    rosenbrock = LANDSCAPES["rosenbrock"]
    for line in contours(rosenbrock, 7, fine=481):
        heights = np.log10(rosenbrock(torch.tensor(line)).numpy() + 1e-2)
        assert heights.std() < 0.05


def test_a_batch_goes_downhill_to_a_line_of_its_own():
    fit = LANDSCAPES["line-fit"]
    assert isinstance(fit.function, LineFit)
    few, many = batch_minima(fit, 8), batch_minima(fit, 64)
    assert few.shape == (400, 2)
    assert (few.std(0) > 2 * many.std(0)).all()
    assert np.abs(many.mean(0) - fit.minima[0]).max() < 0.02
    everything = batch_minima(fit, len(fit.function.x))
    assert np.allclose(everything, fit.minima[0])


def test_stochastic_paths_are_shown_beside_exact_ones():
    found = race("line-fit", ["sgd", "momentum"], steps=80, batch_size=8, progress=False)
    for racer in found.racers:
        assert racer.exact_path is not None
        alone = race("line-fit", racer.name, steps=80, progress=False)
        ends = found.landscape(racer.exact_path)
        assert ends[-1] <= ends[0]
        assert alone.best.exact_path is None
    told = " ".join(found.sentences)
    assert "The exact path (dotted) ends at the line of all samples, a = 0.586" in told
    spread = batch_minima(found.landscape, 8).std(0)
    assert f"± {spread[0]:.2g} in a and ± {spread[1]:.2g} in b" in told


def test_off_the_saddle_at_one_rate():
    found = race("saddle", ["sgd", "momentum", "nesterov", "adam"], progress=False)
    rate = found.shared_rate
    by_name = {racer.name: racer for racer in found.racers}
    assert rate is not None
    left = {name: by_name[name].left_at[rate] for name in ("sgd", "momentum", "nesterov")}
    assert left["momentum"] < left["sgd"] / 4
    # Near the saddle y grows by 1 + lr a step, with heavy-ball momentum by the larger root of
    # r² − (1 + a + lr)·r + a = 0; it has left at y²/2 = 0.01/4 or so, from 0.001.
    a = 0.9
    growth = (1 + a + rate) / 2 + (((1 + a + rate) / 2) ** 2 - a) ** 0.5
    plain = np.log(0.0707 / 0.001) / np.log(1 + rate)
    heavy = np.log(0.0707 / 0.001) / np.log(growth)
    assert left["sgd"] == pytest.approx(plain, rel=0.02)
    assert left["momentum"] == pytest.approx(heavy, rel=0.25)  # it gathers speed first
    assert f"Off the saddle at one rate, {rate:.2g}: " in " ".join(found.sentences)
    assert race("rosenbrock", ["sgd", "momentum"], steps=20, progress=False).shared_rate is None
    assert race("saddle", ["sgd", "adam"], progress=False).shared_rate is None


@pytest.mark.parametrize("form", ["png", "svg"])
def test_stills(tmp_path: Path, form: str):
    found = race("line-fit", ["sgd", "adam"], steps=40, batch_size=8, progress=False)
    one, two = (found.picture(tmp_path / f"{name}.{form}") for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    start = b"\x89PNG" if form == "png" else b"<?xml"
    assert one.read_bytes().startswith(start)
    if form == "svg":
        text = one.read_text()
        assert all(colour in text for colour in COLOURS[:2])
    with pytest.raises(talweg.UserError, match="an html, png or svg file"):
        found.picture(tmp_path / "race.jpeg")


def test_a_still_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    found = race("ravine", ["sgd"], steps=5, progress=False)
    with pytest.raises(talweg.UserError, match=r"pip install 'talweg\[pictures\]'"):
        found.picture(tmp_path / "race.png")
    assert not (tmp_path / "race.png").exists()


def test_a_canvas_sets_the_dots_of_braille():
    canvas = Canvas(((0.0, 0.0), (4.0, 8.0)), columns=2, rows=2)
    canvas.dots(np.array([[0.5, 7.5], [1.5, 4.5], [3.5, 0.5], [9.0, 9.0], [np.nan, 1.0]]), "red")
    assert canvas.text().plain == "⢁ \n ⢀".replace("⢁", chr(0x2800 + 0x01 + 0x80))
    canvas.line(np.array([[0.5, 0.5], [3.5, 0.5]]), "blue")
    assert canvas.text().plain.splitlines()[1] == chr(0x2800 + 0xC0) * 2
    canvas.sign([(2.5, 0.5)], "★", "bold")
    assert canvas.text().plain.splitlines()[1][1] == "★"


def test_the_terminal_shows_start_minimum_and_the_best(tmp_path: Path):
    found = race("rosenbrock", steps=300, progress=False)
    console = Console(width=80, file=(tmp_path / "out").open("w"))
    console.print(drawn(found))
    console.file.close()
    lines = (tmp_path / "out").read_text().splitlines()
    assert max(map(len, lines)) <= 80
    picture = "\n".join(lines[:20])
    assert picture.count("○") == 1
    assert picture.count("★") == 1
    assert found.best.label in lines[-1]


@needs_browser
def test_the_page_plays_pauses_and_hides(tmp_path: Path):
    found = race("saddle", ["sgd", "adam"], steps=60, progress=False)
    path = found.picture(tmp_path / "race.html")
    step = "Number(document.querySelector('.slider-label').textContent.slice(5))"
    buttons = "[...document.querySelectorAll('.updatemenu-button')]"
    button = buttons + ".find(one => one.textContent.includes('{}'))"
    plot = "document.querySelector('.js-plotly-plot')"
    drawn_to = f"{plot}._fullData.at(-1).x.length"
    with browser(tmp_path / "browser") as page:
        page.open(path)
        page.until("document.querySelector('.slider-label')")
        assert (page.ask(step), page.ask(drawn_to)) == (60, 61)
        page.click(button.format("slow"))
        page.until(f"{step} > 0 && {step} < 30")
        assert page.complaints == []
        page.click(button.format("pause"))
        stopped = page.ask(step)
        assert page.ask(drawn_to) == stopped + 1
        time.sleep(0.5)
        assert page.ask(step) == stopped
        page.click(button.format("fast"))
        page.until(f"{step} === 60 && {drawn_to} === 61")
        names = page.ask(f"{plot}.data.map(trace => trace.name)")
        page.click("document.querySelector('.legendtoggle')")
        page.until(f"{plot}.data.some(trace => trace.visible === 'legendonly')")
        hidden = page.ask(f"{plot}.data.filter(t => t.visible === 'legendonly').map(t => t.name)")
        assert hidden == [next(name for name in names if name == found.best.summary)]
        # Plotly rejects the promise of the animation that was paused, and that alone.
        assert all("(in promise)" in complaint for complaint in page.complaints)


def test_rules_of_ones_own_race_too():
    found = race("saddle", [rules.SGD(), rules.Momentum(momentum=0.5)], progress=False)
    assert {racer.label for racer in found.racers} == {"SGD", "Momentum (momentum=0.5)"}
