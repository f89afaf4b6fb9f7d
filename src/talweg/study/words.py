"""Numbers and lists as people read them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from talweg.core import counted


def listed(items: Sequence[str]) -> str:
    """Items joined with commas and an "and".

    >>> listed(["Adam", "RMSProp", "SGD"])
    'Adam, RMSProp and SGD'
    """
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def noun(record: Mapping[str, Any]) -> str:
    """What is compared: the one factor that varies, or their combinations.

    >>> noun({"factors": {"rule": {"adam": "Adam"}, "batch size": {"1": "", "32": ""}}})
    'batch size'
    """
    varied = [factor for factor, levels in record["factors"].items() if len(levels) > 1]
    return "combination" if len(varied) > 1 else varied[0] if varied else "rule"


def models(record: Mapping[str, Any]) -> str:
    """The model, or the first of several.

    >>> models({"contenders": [{"model": "mlp 4-8-3, relu"}, {"model": "mlp 4-8-3, tanh"}]})
    'mlp 4-8-3, relu and 1 more'
    """
    names = list(dict.fromkeys(each["model"] for each in record["contenders"]))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def lengths(record: Mapping[str, Any]) -> str:
    """How long each batch size trains, in epochs and in steps.

    >>> lengths({"factors": {"batch size": {"full": "full batch"}}, "contenders": [
    ...     {"levels": {"batch size": "full"}, "steps": 5, "steps_per_epoch": 1}]})
    'full batch: 5 steps, 1 an epoch, 5 epochs'
    """
    parts: list[str] = []
    for name, label in record["factors"]["batch size"].items():
        one = next(each for each in record["contenders"] if each["levels"]["batch size"] == name)
        epochs = one["steps"] / one["steps_per_epoch"]
        parts.append(
            f"{label}: {counted(one['steps'], 'step')}, {one['steps_per_epoch']:,} an epoch, "
            f"{epochs:,.4g} {'epoch' if epochs == 1 else 'epochs'}"
        )
    return "; ".join(parts)


def span(values: Iterable[float]) -> str:
    """One number, or the lowest and the highest.

    >>> span([45, 1, 1437]), span([5.0])
    ('1 to 1,437', '5')
    """
    ends = sorted(set(values))
    texts = [f"{end:,.4g}" if isinstance(end, float) else f"{end:,}" for end in ends]
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def rate(lr: float) -> str:
    """A learning rate to two digits.

    >>> rate(0.003162), rate(3.162), rate(1e-5)
    ('0.0032', '3.2', '1e-05')
    """
    return f"{lr:.2g}"


def p_value(p: float) -> str:
    """A p-value with its sign.

    >>> p_value(0.00412), p_value(1e-6)
    ('p = 0.004', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2f}" if p >= 0.01 else f"p = {p:.3f}"


def is_share(metric: str) -> bool:
    """Whether a metric is a share, shown in percent."""
    return metric == "accuracy"


def number(value: float, digits: int) -> str:
    """A number to some significant digits, in full up to ten million.

    >>> number(54.2071, 4), number(49_768.3, 4), number(1.23e9, 3)
    ('54.21', '49,770', '1.23e+09')
    """
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text and abs(value) < 1e7 else text


def score(value: float | None, task: dict[str, Any], unit: bool = True) -> str:
    """A score as shown: accuracy in percent, others to four digits.

    >>> score(0.97312, {"metric": "accuracy"}), score(54.2071, {"metric": "rmse"})
    ('97.3%', '54.21')
    """
    if value is None or math.isnan(value):
        return "–"
    if is_share(task["metric"]):
        return f"{100 * value:.1f}" + ("%" if unit else "")
    return number(value, 4)


def difference(value: float, task: dict[str, Any]) -> str:
    """The size of a difference of scores, with its unit.

    >>> difference(-0.0091, {"metric": "accuracy"})
    '0.9 points'
    """
    if is_share(task["metric"]):
        points = f"{100 * abs(value):.1f}" if abs(value) >= 5e-4 else f"{100 * abs(value):.2g}"
        return f"{points} points"
    return number(abs(value), 3)
