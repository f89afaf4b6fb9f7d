"""The tables of ``docs/conversions.md``: ``python -m talweg.explain.page`` prints them."""

from collections.abc import Iterator

from talweg.explain.conversion import FRAMEWORKS
from talweg.explain.counterpart import REQUIRED, Counterpart, Framework, short

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
    for name, why in framework.missing.items():
        if why:
            yield f"- `{name}`: {why}"
    plain = [name for name, why in framework.missing.items() if not why]
    yield from (f"- not there yet: {_listed(plain)}", "") if plain else ("",)


def _usual(framework: Framework, name: str, known: Counterpart) -> str:
    needed = {key: RATE for key, default in known.settings.items() if default is REQUIRED}
    return short(framework.convert(name, needed))


def _names(framework: Framework) -> str:
    found: dict[str, str] = {}
    for known in framework.optimizers.values():
        for theirs, ours in known.names.items():
            here = (ours,) if isinstance(ours, str) else ours
            if theirs in known.settings and set(here) <= known.rule.specs.keys():
                found[theirs] = ", ".join(f"`{name}`" for name in here)
    return ", ".join(f"`{theirs}` is {ours}" for theirs, ours in found.items())


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
