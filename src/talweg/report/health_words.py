"""What the page of a watched run says in words: verdict, facts, findings and layers."""

import math
import re
from collections.abc import Mapping

from talweg.core import counted
from talweg.diagnose import Finding, verdict
from talweg.report.health_marks import Run, is_of
from talweg.report.pieces import escape, number_table, pairs
from talweg.report.scale import known

LONG = 70
"""Letters of a headline that is set smaller."""
PLACES = 12
"""Layers of a finding that are listed at once."""
INSIDE = r"\((?:[^()]|\([^()]*\))*\)"
CODE = re.compile(
    rf"(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*(?:{INSIDE})?(?:\.\w+{INSIDE})*"
    r"|\b[a-z]\w*_(?!\w)|x \+ block\(x\)"
)
"""What is code in a sentence: names with dots, calls of them, and names that end in ``_``."""
MEASURED = ("gradient rms", "update ratio", "dead", "saturated")
"""Measures whose last values the table of layers has."""


def headline(text: str) -> str:
    """A verdict as the page's first words."""
    return f'<h1 class="{"long" if len(text) > LONG else ""}">{escape(text)}</h1>'


def facts(run: Run) -> str:
    """What was watched, in a few numbers."""
    health, rule = run.health, run.health.setting.rule
    losses, taken = known(health.losses), len(run.moments)
    lrs = [lr for moment in health.moments if (lr := moment.one("lr")) is not None]
    rates = [f"{lr:.3g}" for lr in dict.fromkeys([*lrs[:1], *lrs[-1:]])]
    momentum = f", momentum {rule.momentum:g}" if rule and rule.momentum else ""
    return pairs(
        [
            ("Steps", f"{health.steps:,}"),
            ("Measured", f"{counted(taken, 'step')}, {health.tier}" if taken else "nothing"),
            ("Overhead", f"{100 * health.overhead:.1f}% of {_time(health.seconds)}"),
            ("Rule", f"{rule.name}{momentum}" if rule else ""),
            ("Learning rate", " to ".join(rates)),
            ("Loss", f"{losses[0]:.3g} to {losses[-1]:.3g}" if losses else ""),
            ("Layers", f"{len(health.setting.layers)}" if health.setting.layers else ""),
            *run.facts.items(),
        ]
    )


def _time(seconds: tuple[float, float]) -> str:
    whole = seconds[0] - seconds[1]
    return f"{whole / 60:.1f} min" if whole >= 120 else f"{whole:.2g} s"


def banner(run: Run) -> str:
    """What could not be measured."""
    return "".join(f'<p class="banner">{escape(note)}</p>' for note in run.health.notes)


def cards(run: Run) -> str:
    """The findings, a card for each name."""
    if not run.findings:
        said = verdict(run.health)
        return f'<p class="nothing">{escape(said)}.</p>'
    inside = "".join(_card(run, name) for name in run.findings)
    return f'<div class="findings">{inside}</div>'


def _card(run: Run, name: str) -> str:
    places = run.findings[name]
    worst = places[0]
    told = [_place(one, run.lasts(one)) for one in places]
    first, rest = "".join(told[:PLACES]), "".join(told[PLACES:])
    more = (
        f"<details><summary>{len(places) - PLACES} more</summary><ul>{rest}</ul></details>"
        if rest
        else ""
    )
    remedies = "".join(f"<li>{with_code(remedy)}</li>" for remedy in worst.remedies)
    return (
        f'<article class="finding {worst.severity}">'
        f'<h3><span class="number">{run.numbers[name]}</span>'
        f'{escape(name.capitalize())}<span class="severity">{worst.severity}</span></h3>'
        f'<ul class="evidence">{first}</ul>{more}'
        f"<p>{escape(worst.meaning)}</p>"
        f'<p class="label">What to try</p><ul class="remedies">{remedies}</ul></article>'
    )


def _place(one: Finding, lasts: bool) -> str:
    where = f"<code>{escape(one.layer)}</code> " if one.layer else ""
    told = "" if one.began == one.raised else f", told at {one.raised:,}"
    when = f"{one.when}{told}"
    still = ", there at the end" if lasts else ""
    return f"<li>{where}{escape(one.text)} <small>{when}{still}</small></li>"


def with_code(text: str) -> str:
    """A sentence with its code in monospace.

    >>> with_code("nn.GELU() in place of <i>")
    '<code>nn.GELU()</code> in place of &lt;i&gt;'
    """
    parts: list[str] = []
    end = 0
    for found in CODE.finditer(text):
        parts += [escape(text[end : found.start()]), f"<code>{escape(found.group())}</code>"]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def layers_table(run: Run) -> str:
    """The model's layers, and what was measured of them last."""
    layers = run.health.setting.layers
    if not layers:
        return "<p>No layer was seen at work.</p>"
    last = {
        name: values
        for moment in run.moments.values()
        for name, values in moment.items()
        if name in MEASURED
    }
    shown = [name for name in MEASURED if last.get(name)]
    headers = ["Layer", "Kind", "Activation", "Inputs", "Units"]
    rows = [
        [
            layer.name,
            layer.kind,
            layer.activation,
            f"{layer.inputs:,}" if layer.inputs else "",
            f"{layer.units:,}" if layer.units else "",
            *(_told(name, own_value(last[name], layer.name)) for name in shown),
        ]
        for layer in layers
    ]
    caption = f"{counted(len(layers), 'layer')}, and what was measured of them last"
    table = number_table(caption, [*headers, *(name.capitalize() for name in shown)], rows, texts=3)
    return f'<div class="layers">{table}</div>'


def own_value(values: Mapping[str, float], layer: str) -> float | None:
    """A layer's value, or the largest of its weights'."""
    own = [value for name, value in values.items() if is_of(name, layer)]
    return max(own, default=None)


def _told(measure: str, value: float | None) -> str:
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    return f"{100 * value:.0f}%" if measure in ("dead", "saturated") else f"{value:.2g}"


def code(run: Run) -> str:
    """How the run was made, with what differs from the other pointed out."""
    lines = "".join(
        f'<span class="{"changed" if line in run.changed else ""}">{escape(line)}\n</span>'
        for line in run.code
    )
    return f'<pre class="code">{lines}</pre>' if lines else ""
