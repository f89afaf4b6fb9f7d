"""The panel in the terminal: what it shows, how often, and that nothing is left broken."""

import io

import pytest
import torch
from rich.console import Console
from tests.diagnose.loops import mlp, trained
from torch import nn

import talweg
from talweg.core import UserError
from talweg.diagnose import DIAGNOSES, Health
from talweg.diagnose import panel as module
from talweg.diagnose.moment import Layer, Moment, Setting
from talweg.diagnose.panel import SECONDS, Panel, Screen

SHOWN, HIDDEN = "\x1b[?25h", "\x1b[?25l"
"""What a terminal is told for its cursor."""


def terminal(height: int = 40, width: int = 110) -> Screen:
    return Screen(
        file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=height
    )


def written(console: Screen) -> str:
    return console.file.getvalue()


def health(layers: int = 3, name: str = "encoder.{}") -> Health:
    found = Health(list(DIAGNOSES.values()), 20, "light")
    names = [name.format(place) for place in range(layers)]
    found.setting = Setting([Layer(each, "Linear", "weight", "relu", 64) for each in names])
    found.seconds = (10.0, 0.3)
    return found


def moment(found: Health, step: int, dead: float = 0.1, gradient: float = 1e-3) -> Moment:
    names = [layer.name for layer in found.setting.layers]
    taken = {"gradient rms": gradient, "dead": dead, "saturated": 0.5, "update ratio": 2e-3}
    values = {measure: dict.fromkeys(names, value) for measure, value in taken.items()}
    return Moment(step, {**values, "loss": {"": 0.5}, "lr": {"": 0.01}})


def drawn(found: Health, console: Screen, *moments: Moment) -> str:
    """The last picture."""
    with Panel(found, console) as panel:
        for one in moments:
            found.add(one)
        flat = Console(file=io.StringIO(), width=console.width, height=console.height)
        flat.print(panel.drawn())
    return written(flat)


def test_a_picture_has_the_numbers_of_each_layer():
    found = health()
    text = drawn(found, terminal(), moment(found, 0), moment(found, 1240))
    assert "step 1,240 · loss 0.5 · lr 0.01 · 3.1% overhead" in text
    for place in range(3):
        (row,) = [line for line in text.splitlines() if line.startswith(f"│ encoder.{place}")]
        for number in ("1.0e-03", "10%", "50%", "2.0e-03"):
            assert number in row
    assert "nothing found so far" not in text
    assert "saturation: encoder.0" in text


def test_findings_come_with_their_numbers():
    found = health()
    calm = drawn(found, terminal(), Moment(0, {"loss": {"": 0.5}}))
    assert "nothing found so far" in calm
    ill = drawn(found, terminal(), moment(found, 20, dead=0.6))
    assert "dead units: encoder.0: 60% of its 64 units are dead (from step 20) and 2 more" in ill


def test_numbers_that_are_lost_are_told():
    found = health()
    text = drawn(found, terminal(), moment(found, 0, gradient=float("nan")))
    assert text.count("lost") == 3


@pytest.mark.parametrize("width", [40, 80])
def test_200_layers_fit_into_any_terminal(width: int):
    found = health(200, "transformer.layers.{}.attention.projection")
    text = drawn(found, terminal(24, width), *(moment(found, step, 0.9) for step in (0, 20)))
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width
    assert "200 layers in all" in text
    assert "1.0e-03" in text


def test_it_redraws_four_times_a_second_at_most(monkeypatch):
    found, console, now = health(), terminal(), [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    counts = []
    with Panel(found, console):
        for step in range(0, 400, 20):
            found.add(Moment(step, {"loss": {"": 1.0}}))
            now[0] += SECONDS / 4
            counts.append(written(console).count("talweg.watch"))
    assert counts == [1 + place // 4 for place in range(20)]


def test_a_picture_that_takes_long_is_followed_by_a_pause_of_fifty_times_that(monkeypatch):
    found, console, now = health(), terminal(), [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Panel(found, console) as panel:
        draw = panel.drawn

        def slow():
            now[0] += 0.1
            return draw()

        monkeypatch.setattr(panel._live, "_get_renderable", slow)
        found.add(Moment(0, {"loss": {"": 1.0}}))
        drawn_at, told = now[0], written(console)
        for later, is_drawn in ((4.7, False), (10.1, True)):
            now[0] = drawn_at + later
            found.add(Moment(int(20 * later), {"loss": {"": 1.0}}))
            assert (written(console) != told) == is_drawn


def test_a_new_finding_is_drawn_at_once(monkeypatch):
    found, console = health(), terminal()
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    with Panel(found, console):
        found.add(Moment(0, {"loss": {"": 1.0}}))
        assert "dead units" not in written(console)
        found.add(moment(found, 20, dead=0.6))
        assert "dead units" in written(console)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, None])
def test_the_terminal_is_left_as_it_was(error: type[BaseException] | None):
    found, console = health(), terminal()
    panel = Panel(found, console)

    def run() -> None:
        with panel:
            found.add(moment(found, 0))
            assert written(console).rindex(HIDDEN) >= 0
            assert SHOWN not in written(console)
            if error:
                raise error

    if error:
        with pytest.raises(error):
            run()
    else:
        run()
    assert written(console).rindex(SHOWN) > written(console).rindex(HIDDEN)
    assert found.listeners == []


def test_what_is_printed_into_a_file_stays_there(capsys):
    found = health()
    with Panel(found, terminal()):
        found.add(moment(found, 0))
        print("from the loop")
    assert capsys.readouterr().out == "from the loop\n"


def test_where_there_is_no_terminal_each_new_finding_is_a_line(capsys):
    torch.manual_seed(0)
    model = mlp(nn.Sigmoid, depth=6)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    found = trained(model, optimizer, 60, lambda *given: talweg.watch(*given, live=True))
    out, told = capsys.readouterr()
    assert out == ""
    lines = told.splitlines()
    assert len(lines) == len(found.findings) > 1
    start = "talweg.watch: step 0: problem: vanishing gradient: 0: the gradient falls by 0.1"
    assert lines[0].startswith(start)


def test_nothing_is_shown_unless_asked_for(capsys):
    torch.manual_seed(0)
    model = mlp(nn.Sigmoid, depth=6)
    trained(model, torch.optim.SGD(model.parameters(), 0.1), 60, talweg.watch)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
def test_a_stream_that_breaks_does_not_disturb_the_run(error: type[Exception]):
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise error

    for is_terminal in (False, True):
        found = health()
        with Panel(found, Screen(file=Broken(), force_terminal=is_terminal)):
            for step in (0, 20, 40):
                found.add(moment(found, step, dead=0.6))
        assert len(found.moments) == 3
        assert found.findings


def test_the_run_is_the_same_to_the_bit_with_a_panel(monkeypatch):
    ends = []
    for live in (False, True):
        monkeypatch.setattr("sys.stderr", io.StringIO())
        monkeypatch.setenv("FORCE_COLOR", "1")
        torch.manual_seed(3)
        model = mlp(nn.Tanh)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        trained(model, optimizer, 40, lambda m, o, live=live: talweg.watch(m, o, live=live))
        ends.append([value.detach().numpy().tobytes() for value in model.parameters()])
    assert ends[0] == ends[1]


def test_anything_but_true_or_false_is_refused():
    with pytest.raises(UserError, match="live must be true or false, got 'yes'"):
        talweg.watch(nn.Linear(1, 1), live="yes")


def test_a_finding_that_comes_and_goes_is_told_ever_less_often(capsys):
    found = health(1)
    with Panel(found):
        for step in range(0, 2000, 50):
            for later in (0, 25):
                found.add(moment(found, step + later, dead=0.6 if step % 100 else 0.0))
    (dead,) = [one for one in found.findings if one.name == "dead units"]
    assert len(dead.spells) == 20
    told = [line for line in capsys.readouterr().err.splitlines() if "dead units" in line]
    assert len(told) == 5
    assert told[1].endswith("(from step 50 to 100, and again from 150)")
    assert told[4].endswith("(16 times from step 50 on, last from 1,550)")
