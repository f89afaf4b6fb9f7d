"""Every rule is explained, from its own docstring and fields."""

import io
import math
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass

import pytest
from rich.console import Console

import talweg
from talweg.cli import main
from talweg.core import UserError
from talweg.explain.counterpart import REQUIRED
from talweg.explain.facts import parts
from talweg.rules import RULES, SGD, Adam, Lion, Momentum, Nesterov, named
from talweg.transforms import Ascent, ClipNorm, WeightAverage, WeightDecay

over_rules = pytest.mark.parametrize("name", RULES)


def screen(rule, width: int, **options) -> str:
    page = io.StringIO()
    Console(file=page, width=width, highlight=False, **options).print(talweg.explain(rule))
    return page.getvalue()


@over_rules
def test_a_rules_docstring_says_all(name):
    about = talweg.explain(name)
    assert about.summary.endswith(".")
    assert "←" in about.formula
    assert about.source.endswith(".")
    assert "`" not in str(about)
    said = {key for part in about.parts for key in part.arguments}
    assert about.rule.specs.keys() <= said, "Args of the docstring lacks a field"


@over_rules
@pytest.mark.parametrize("width", [40, 50, 60, 80, 120])
def test_it_fits_the_screen(name, width):
    lines = screen(name, width).splitlines()
    # What combines with the letter before it takes no room.
    assert max(len(line.replace("\N{COMBINING CIRCUMFLEX ACCENT}", "")) for line in lines) <= width
    assert "\x1b" not in "".join(lines)
    assert "\x1b" in screen(name, width, force_terminal=True)


@over_rules
@pytest.mark.parametrize("width", [40, 50, 60, 80])
def test_nothing_is_cut_however_narrow_the_screen(name, width):
    about, words = talweg.explain(name), screen(name, width).split()
    text = " ".join(words)
    for one in about.settings:
        assert f"{one.name}:" in words or one.name in words
        assert set(one.does.split()) <= set(words)
    for there in about.elsewhere:
        for theirs in map(str, there.settings.values()):
            cuts = [at for at, letter in enumerate(theirs, start=1) if letter == "_"]
            if not theirs.startswith("always"):
                assert any(theirs[:at] in text and theirs[at:] in text for at in (0, *cuts))


@over_rules
def test_its_text_is_that_of_80_columns(name):
    shown = [line.rstrip() for line in screen(name, 80).splitlines()]
    assert str(talweg.explain(name)).splitlines() == shown


@over_rules
def test_a_default_is_usual_and_what_is_usual_is_allowed(name):
    rule = RULES[name].rule
    for spec in rule.specs.values():
        usual = spec.metadata.get("usual")
        if usual is None:
            continue
        low, high = usual
        assert low < high
        assert low <= spec.default <= high, spec.name
        assert spec.metadata["above"] < low
        assert spec.metadata["at_least"] <= low
        assert high < spec.metadata["below"]
    low, high = rule.lr_range
    assert low <= rule.specs["lr"].default <= high


@over_rules
def test_its_settings_are_its_fields(name):
    about = talweg.explain(name)
    assert [one.name for one in about.settings] == list(about.rule.settings)
    for one in about.settings:
        assert one.value == about.rule.settings[one.name]
        assert one.allowed
        assert one.does


@over_rules
def test_what_is_said_of_other_frameworks_holds(name):
    about = talweg.explain(name)
    assert {there.framework for there in about.elsewhere} <= {"PyTorch", "Keras", "optax"}
    for there in about.elsewhere:
        for ours, theirs in there.settings.items():
            value = there.rule.settings.get(ours, 0)
            if theirs.value is not REQUIRED:
                assert theirs.differs is (value != about.rule.settings[ours])
            if not theirs.name:
                assert value == theirs.value
        assert there.has_form
        rule = eval(there.example, {"talweg": talweg})
        assert math.isclose(rule.settings["lr"], 0.01)


def test_adam():
    about = talweg.explain("adam")
    assert about.name == "adam"
    assert about.label == "Adam"
    assert about.lr_range == (1e-5, 1e-1)
    beta1 = about.settings[1]
    assert (beta1.symbol, beta1.default, beta1.allowed, beta1.usual) == (
        "b1",
        0.9,
        "≥ 0, < 1",
        "0.8 – 0.95",
    )
    torch, keras, optax = about.elsewhere
    assert torch.call == "torch.optim.Adam()"
    assert str(torch.settings["beta1"]) == "betas[0]=0.9"
    assert str(keras.settings["eps"]) == "epsilon=1e-07"
    assert keras.settings["eps"].differs
    assert str(keras.settings["eps_hat"]) == "always True"
    assert keras.rule == Adam(eps=1e-7, eps_hat=True)
    assert str(optax.settings["lr"]) == "learning_rate"
    with pytest.raises(FrozenInstanceError):
        about.name = "eve"


def test_it_takes_a_name_a_rule_or_a_named_rule():
    same = talweg.explain("momentum(form=average)")
    assert talweg.explain(Momentum(form="average")) == same
    assert talweg.explain(named("momentum(form=average)")) == same
    assert same.settings[2].value == "average"
    assert " here " in str(same)
    assert " here " not in str(talweg.explain("momentum"))


def test_transforms_are_explained_from_the_inside_out():
    about = talweg.explain(Ascent(WeightAverage(WeightDecay(Lion()))))
    assert [part.name for part in about.parts] == ["Lion", "WeightDecay", "WeightAverage", "Ascent"]
    assert "decoupled" in {one.name for one in about.settings}
    assert [there.path for there in about.elsewhere] == ["keras.optimizers.Lion", "optax.lion"]


def in_frameworks(rule) -> list[tuple[str, bool]]:
    return [(there.call, there.has_form) for there in talweg.explain(rule).elsewhere]


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        (
            "adamw(decoupled=false)",
            [
                ("torch.optim.Adam(weight_decay=0.01)", True),
                ("keras.optimizers.AdamW()", False),
                ("optax.adamw(learning_rate=0.001)", False),
            ],
        ),
        (
            "momentum(form=average)",
            [
                ("torch.optim.SGD(momentum=0.9)", False),
                ("keras.optimizers.SGD(momentum=0.9)", False),
                ("optax.sgd(learning_rate=0.01, momentum=0.9)", False),
            ],
        ),
        (
            ClipNorm(Adam(), 0.5),
            [
                ("torch.optim.Adam()", False),
                ("keras.optimizers.Adam(global_clipnorm=0.5)", True),
                ("optax.adam(learning_rate=0.001)", False),
            ],
        ),
        (
            "rmsprop(centered=true)",
            [
                ("torch.optim.RMSprop(centered=True)", True),
                ("keras.optimizers.RMSprop(centered=True)", True),
                ("optax.rmsprop(learning_rate=0.001, centered=True)", True),
            ],
        ),
        (WeightDecay(Nesterov()), [
            ("torch.optim.SGD(momentum=0.9, nesterov=True)", False),
            ("keras.optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=0.01)", True),
            ("optax.sgd(learning_rate=0.01, momentum=0.9, nesterov=True)", False),
        ]),
        (Ascent(Adam()), [
            ("torch.optim.Adam(maximize=True)", True),
            ("keras.optimizers.Adam()", False),
            ("optax.adam(learning_rate=0.001)", False),
        ]),
    ],
)  # fmt: skip
def test_a_form_is_made_elsewhere_or_said_not_to_be(rule, calls):
    assert in_frameworks(rule) == calls
    assert ("No setting of" in str(talweg.explain(rule))) is not all(made for _, made in calls)


def test_the_kind_of_decay_is_told_with_decay_too():
    notes = [there.note for there in talweg.explain("adamw").elsewhere]
    assert all("weight_decay is decoupled." in note for note in notes)
    assert "weight_decay is coupled." in talweg.explain("adam").elsewhere[0].note


def test_a_transforms_title_says_what_is_inside():
    assert talweg.explain(WeightDecay(ClipNorm(Adam()))).label == "WeightDecay(ClipNorm(Adam))"


def test_what_is_elsewhere_is_of_the_rule_at_hand():
    torch, _ = talweg.explain("amsgrad").elsewhere
    assert str(torch.settings["amsgrad"]) == "amsgrad=True"
    (torch,) = talweg.explain("muon").elsewhere
    assert torch.settings["adjust"].name == "adjust_lr_fn"
    (torch,) = talweg.explain("adafactor").elsewhere
    shown = [str(torch.settings[name]) for name in ("power", "eps", "floor")]
    assert shown == ["beta2_decay=-0.8", "eps[0]=None", "eps[1]=0.001"]
    assert not any(torch.settings[name].differs for name in ("power", "eps", "floor"))
    keras, _ = talweg.explain("lamb").elsewhere
    assert str(keras.settings["weight_decay"]) == "always 0"


def test_what_only_has_the_name_is_named():
    (amsgrad,) = talweg.explain("amsgrad").others
    assert amsgrad.startswith("optax.amsgrad is not the same: optax takes the largest")
    assert "optax.adan" in str(talweg.explain("adan"))
    assert not talweg.explain("adam").others


def test_a_rule_of_the_users_own():
    @dataclass(frozen=True)
    class Plain(SGD):
        pass

    class Told(SGD):
        """Goes down.

        Not up.
        """

    assert talweg.explain(Plain()).summary == ""
    (part,) = parts(Told())
    assert (part.summary, part.formula, part.notes) == ("Goes down.", (), ("Not up.",))
    assert "Not up." in str(talweg.explain(Told()))


def test_an_unknown_rule_is_told_as_everywhere():
    with pytest.raises(UserError, match="unknown rule 'adma'; did you mean 'adam'"):
        talweg.explain("adma")


def test_the_command_prints_it(monkeypatch, capsys):
    assert command("adamw", monkeypatch) == 0
    assert capsys.readouterr().out == f"{talweg.explain('adamw')}\n"


def test_a_notebook_shows_the_text():
    assert repr(talweg.explain("adam")) == str(talweg.explain("adam"))


@pytest.mark.parametrize(("typed", "name"), [("RMSprop", "rmsprop"), ("AdamW", "adamw")])
def test_pytorchs_spelling_is_understood(typed, name):
    assert talweg.explain(typed) == talweg.explain(name)
    assert talweg.explain(f"{typed}(eps=0.1)").name == f"{name}(eps=0.1)"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_pipe_that_lacks_a_letter_gets_a_question_mark(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "talweg", "explain", "sgd"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80"},
        capture_output=True,
        check=True,
    )
    shown = str(talweg.explain("sgd")).encode(encoding, "replace").decode(encoding)
    assert done.stdout.decode(encoding).splitlines() == shown.splitlines()
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("adma", "talweg: unknown rule 'adma'; did you mean 'adam'? (talweg list rules)"),
        ("adam(lr=-1)", "talweg: lr must be a positive number, got -1"),
    ],
)
def test_the_command_tells_what_is_wrong(rule, message, monkeypatch, capsys):
    assert command(rule, monkeypatch) == 2
    assert capsys.readouterr() == ("", message + "\n")


def command(rule: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["talweg", "explain", rule])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code
