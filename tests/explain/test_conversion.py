"""The tables of other frameworks are whole, and what is wrong is told in one line."""

import subprocess
import sys
from pathlib import Path

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
        (("keras", "Adam"), {"learning_rate": "fast"}, "keras.optimizers.Adam("
         "learning_rate='fast'): lr must be a positive number, got 'fast'"),
        (("pytorch", "SGD"), {"lr": -1}, "torch.optim.SGD(lr=-1): Invalid learning rate: -1"),
        (("pytorch", "SGD"), {"lr": "fast"}, "torch.optim.SGD(lr='fast'): '<' not supported "
         "between instances of 'str' and 'float'"),
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


def test_neither_keras_nor_jax_is_imported():
    code = "import sys, talweg; talweg.explain('adam'); talweg.convert('optax', 'sgd', "
    code += "learning_rate=1); sys.exit(bool({'keras', 'jax', 'optax'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
