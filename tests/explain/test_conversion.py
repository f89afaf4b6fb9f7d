"""The tables of other frameworks are whole, and what is wrong is told in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import talweg
from talweg.core import UserError
from talweg.explain.conversion import FRAMEWORKS
from talweg.explain.counterpart import REQUIRED
from talweg.explain.page import page
from talweg.rules import RULES, Adam

KNOWN = [
    pytest.param(framework, name, id=f"{key}-{name}")
    for key, framework in FRAMEWORKS.items()
    for name in framework.optimizers
]


def others(value: object) -> list[object]:
    """Values that a setting could have in place of its default."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, tuple):
        return [tuple(0.9 * one if one else 1e-9 for one in value)]
    if isinstance(value, (int, float)):
        return [0.9 * value or 0.5]
    return [0.5, "float32"]


@pytest.mark.parametrize(("framework", "name"), KNOWN)
def test_every_setting_is_heard_or_said_to_be_idle(framework, name):
    settings = framework.optimizers[name].settings
    given = {key: 0.1 for key, value in settings.items() if value is REQUIRED}
    for key, value in settings.items():
        if key in framework.idle:
            continue
        heard = False
        with_more = {"momentum": 0.5, "use_ema": True, "weight_decay": 0.1}
        base = given | {k: v for k, v in with_more.items() if k in settings and k != key}
        if name == "Lamb":
            base.pop("weight_decay", None)
        for other in others(value):
            try:
                heard |= framework.convert(name, base | {key: other}) != framework.convert(
                    name, base
                )
            except UserError:
                heard = True
        assert heard, f"{framework.module}.{name} takes {key} and forgets it"


@pytest.mark.parametrize(("framework", "name"), KNOWN)
def test_a_counterpart_is_of_registered_rules(framework, name):
    for rule, settings in framework.optimizers[name].of.items():
        assert rule in RULES
        assert settings.keys() <= framework.optimizers[name].settings.keys()


def test_the_page_says_what_the_tables_say():
    path = Path(__file__).parents[2] / "docs" / "conversions.md"
    _, _, shown = path.read_text().partition("a test compares. -->\n\n")
    assert shown.strip() == page().strip(), "run python -m talweg.explain.page and put it there"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("kears", "Adam"), {}, "unknown framework 'kears'; did you mean 'keras'? "
         "(allowed: pytorch, keras, optax)"),
        (("keras",), {}, "which optimizer of Keras? convert('keras', NAME)"),
        (("pytorch", "adam"), {}, "unknown PyTorch optimizer 'adam'; did you mean 'Adam'? "
         f"(allowed: {', '.join(FRAMEWORKS['pytorch'].optimizers)}, "
         f"{', '.join(FRAMEWORKS['pytorch'].missing)})"),
        (("keras", "Adadelta"), {"ro": 0.9}, "unknown setting of keras.optimizers.Adadelta 'ro'; "
         "did you mean 'rho'? (allowed: weight_decay, clipnorm, clipvalue, global_clipnorm, "
         "use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor, "
         "gradient_accumulation_steps, name, learning_rate, rho, epsilon)"),
        (("keras", "Adam"), {"epsilon": 0}, "keras.optimizers.Adam(epsilon=0): eps must be a "
         "positive number, got 0"),
        (("keras", "Adam"), {"learning_rate": "fast"}, "keras.optimizers.Adam: "
         "learning_rate must be a number, got 'fast'"),
        (("keras", "Adam"), {"epsilon": None}, "keras.optimizers.Adam: epsilon must be a number, "
         "got None"),
        (("keras", "Adam"), {"use_ema": 1}, "keras.optimizers.Adam: use_ema must be True or False, "
         "got 1"),
        (("keras", Adam()), {}, "the optimizer's name is text, got Adam; an optimizer tells its "
         "settings itself: leave out the name, convert(optimizer)"),
        (("optax", "adam"), {"learning_rate": None}, "optax.adam: learning_rate must be a number, "
         "got None"),
        (("optax", "adam", 0.1), {"nesterov": "yes"}, "optax.adam: nesterov must be True or False, "
         "got 'yes'"),
        (("optax", "radam", 0.1), {"threshold": 0}, "optax.radam: threshold=0 cannot be converted: "
         "RAdam's threshold is 5"),
        (("optax", "adam", np.ones(2)), {}, "optax.adam: learning_rate must be a number, got "
         "array([1., 1.])"),
        (("keras", "keras.optimizers.Muon"), {}, "keras.optimizers.Muon has no counterpart in "
         "talweg: it leaves some variables to Adam by their names and places"),
        (("optax", "adam", 0.1, 0.9), {}, "only the learning rate goes without its name, got 2 "
         "values"),
        (("optax", "adam", 0.1), {"learning_rate": 0.2}, "the learning rate is given twice: as "
         "learning_rate= and without a name"),
        (("optax", "contrib.muon"), {}, "optax.contrib.muon has no counterpart in talweg: "
         "optax.contrib is not covered: it was not compared with talweg's rules"),
        (("pytorch", "Adam"), {"betas": (0.8,)}, "torch.optim.Adam: betas must be 2 numbers, "
         "got (0.8,)"),
        (("pytorch", "Adam"), {"betas": 0.9}, "torch.optim.Adam: betas must be 2 numbers, got 0.9"),
        (("pytorch", "Adam"), {"betas": (0.9, None)}, "torch.optim.Adam: betas must be 2 numbers, "
         "got (0.9, None)"),
        (("pytorch", "Adam"), {"lr": None}, "torch.optim.Adam: lr must be a number, got None"),
        (("pytorch", "SGD"), {"lr": -1}, "torch.optim.SGD(lr=-1): Invalid learning rate: -1"),
        (("pytorch", "SGD"), {"lr": "fast"}, "torch.optim.SGD: lr must be a number, got 'fast'"),
        ((3,), {}, "convert takes 'pytorch', 'keras', 'optax' or an optimizer of PyTorch or Keras, "
         "got int"),
        ((3, "Adam"), {}, "an optimizer tells its settings itself: convert(optimizer)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(arguments, settings, message):
    with pytest.raises(UserError) as caught:
        talweg.convert(*arguments, **settings)
    assert str(caught.value) == message


def test_frameworks_have_other_names():
    assert talweg.convert("tensorflow", "Adam") == talweg.convert("Keras", "Adam")
    assert talweg.convert("torch", "Adam") == Adam()


def test_a_name_may_have_its_module_and_the_rate_no_name():
    assert talweg.convert("keras", "tf.keras.optimizers.Adam") == talweg.convert("keras", "Adam")
    assert talweg.convert("torch", "torch.optim.Adam", 0.1, betas=[0.9, 0.999]) == Adam(0.1)
    assert talweg.convert("optax", "optax.adam", 0.1) == Adam(0.1)


def with_moved(settings: dict, named: str, factor: float) -> dict:
    """Settings with one number other than it is; ``betas[1]`` is a part of one."""
    setting, _, place = named.removesuffix("]").partition("[")
    value = settings[setting]
    if not place:
        return settings | {setting: factor * value or 0.01}
    numbers = list(value)
    numbers[int(place)] *= factor
    return settings | {setting: tuple(numbers)}


@pytest.mark.parametrize(("framework", "name"), KNOWN)
def test_the_name_of_a_number_is_the_rules(framework, name):
    """Each of a framework's numbers moves the rule's that it is said to be, and no other."""
    known = framework.optimizers[name]
    given = {framework.rate: 0.1} | ({"momentum": 0.5} if "momentum" in known.settings else {})
    settings = {**known.settings, **given}
    before = framework.convert(name, settings).settings
    for ours, (theirs, value) in known.called(given).items():
        spec = known.rule.specs.get(ours)
        is_number = spec is not None and spec.metadata["kind"] == "hyper" and value is not None
        if not is_number or name == "adabelief":  # which wants two of them to be the same
            continue
        factor = 1.1 if ours in ("clip", "eta_plus") else 0.9
        after = framework.convert(name, with_moved(settings, theirs, factor)).settings
        assert {key for key in before if before[key] != after[key]} == {ours}


def test_torchs_compiler_is_not_loaded():
    code = "import sys, torch, talweg; talweg.convert('keras', 'Adam')"
    code += "; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_neither_keras_nor_jax_is_imported():
    code = "import sys, talweg; talweg.explain('adam'); talweg.convert('optax', 'sgd', "
    code += "learning_rate=1); sys.exit(bool({'keras', 'jax', 'optax'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
