"""The tables of ``docs/conversions.md``: ``python -m talweg.explain.page`` prints them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from talweg.explain.conversion import FRAMEWORKS
from talweg.explain.counterpart import REQUIRED, Counterpart, Framework, Settings, short
from talweg.transforms import WeightDecay

RATE = 1e-3
"""The learning rate where a framework has no default."""


def page() -> str:
    """Every framework's optimizers as rules, in Markdown."""
    return "\n".join(line for key in FRAMEWORKS for line in _section(FRAMEWORKS[key]))


def _section(framework: Framework) -> Iterator[str]:
    yield from (f"## {framework.name}", "", framework.note, "")
    yield from ("| optimizer | with its defaults | note |", "| --- | --- | --- |")
    for name, known in framework.optimizers.items():
        yield f"| `{name}` | `{_usual(framework, name, known)}` | {known.note} |"
    yield from ("", f"Names: {_names(framework)}.", "")
    if refused := _refused(framework):
        yield from ("Cannot be converted, unless left at the default:", "", *refused, "")
    yield from ("Without a counterpart:", "")
    reasons: dict[str, list[str]] = {}
    for name, why in framework.missing.items():
        reasons.setdefault(why, []).append(name)
    plain = reasons.pop("", [])
    yield from (f"- {_listed(names)}: {why}" for why, names in reasons.items())
    yield from (f"- not there yet: {_listed(plain)}", "") if plain else ("",)


def _usual(framework: Framework, name: str, known: Counterpart) -> str:
    needed = {key: RATE for key, default in known.settings.items() if default is REQUIRED}
    return short(framework.convert(name, needed))


def _names(framework: Framework) -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for optimizer, known in framework.optimizers.items():
        for theirs, ours in known.names.items():
            here = (ours,) if isinstance(ours, str) else ours
            if theirs in known.settings and {name.lstrip("-") for name in here} <= set(_all(known)):
                shown = ", ".join(f"{'−' * (name[0] == '-')}`{name.lstrip('-')}`" for name in here)
                found.setdefault((theirs, shown), []).append(optimizer)
    everywhere = {name: known.settings for name, known in framework.optimizers.items()}
    return ", ".join(
        f"`{theirs}`{_of(theirs, names, everywhere)} is {ours}"
        for (theirs, ours), names in found.items()
    )


def _all(known: Counterpart) -> Iterable[str]:
    return (*known.rule.specs, *(own.name for own in fields(WeightDecay)))


def _of(setting: str, names: list[str], everywhere: Mapping[str, Settings]) -> str:
    """Whose setting it is, where others have one of that name too."""
    others = [name for name, own in everywhere.items() if setting in own and name not in names]
    return f" of {_listed(names)}" if others else ""


def _refused(framework: Framework) -> list[str]:
    who: dict[tuple[str, str], list[str]] = {}
    for name, known in framework.optimizers.items():
        for setting in known.refused.keys() & known.settings.keys():
            who.setdefault((setting, known.refused[setting]), []).append(name)
    return [
        f"- `{setting}`{'' if len(names) == len(framework.optimizers) else f' of {_listed(names)}'}"
        f": {why}"
        for (setting, why), names in sorted(who.items())
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print(page())
