"""A rule in other frameworks: the optimizer that makes its form, and what it calls the settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from talweg.core import Rule, UserError
from talweg.explain.conversion import FRAMEWORKS
from talweg.explain.counterpart import REQUIRED, Framework, Settings, call
from talweg.explain.facts import shown
from talweg.rules import RULES, named
from talweg.transforms import Transform, WeightDecay


@dataclass(frozen=True)
class Theirs:
    """A setting in another framework.

    Args:
        name: What it is called there; empty where it cannot be set.
        value: Its default there, or what it always is; `REQUIRED` has none.
        differs: Whether the value is another than talweg's default.
    """

    name: str
    value: Any
    differs: bool

    def __str__(self) -> str:
        """``epsilon=1e-07``, or ``always True``."""
        if self.value is REQUIRED:
            return self.name
        value = shown(self.value)
        return f"{self.name}={value}" if self.name else f"always {value}"


@dataclass(frozen=True)
class Elsewhere:
    """A rule in another framework.

    Args:
        framework: Its name.
        path: The optimizer, such as ``"keras.optimizers.Adam"``.
        call: What makes it this rule, such as ``"keras.optimizers.Adam(amsgrad=True)"``.
        rule: What that is in talweg, with all the defaults that differ.
        has_form: Whether that has the transforms and the options of the rule that is explained.
        settings: talweg's name of a setting → the framework's.
        note: What else differs.
        example: How settings are converted.
    """

    framework: str
    path: str
    call: str
    rule: Rule
    has_form: bool
    settings: Mapping[str, Theirs]
    note: str
    example: str


def elsewhere(rule: Rule) -> tuple[Elsewhere, ...]:
    """The rule in each framework that has it, or what is nearest there."""
    return tuple(
        _elsewhere(key, framework, *found, rule)
        for key, framework in FRAMEWORKS.items()
        if (found := _nearest(framework, rule))
    )


def others(rule: Rule) -> tuple[str, ...]:
    """What goes by the rule's name in a framework and is not the same."""
    name = _base(rule).replace("-", "")
    return tuple(
        f"{framework.module}.{theirs} is not {'converted' if '.' in theirs else 'the same'}: {why}."
        for framework in FRAMEWORKS.values()
        for theirs, why in framework.missing.items()
        if why and theirs.rpartition(".")[2].replace("_", "").lower() == name
    )


def _base(rule: Rule) -> str:
    """The registered name that the rule goes by, or the rule inside of what is around it."""
    name = named(rule).name.partition("(")[0]
    return _base(rule.rule) if name not in RULES and isinstance(rule, Transform) else name


def _nearest(framework: Framework, rule: Rule) -> tuple[str, Settings, bool] | None:
    """The optimizer most like a rule, the settings for it, and whether they make its form."""
    tries = list(_tries(framework, rule))
    for name, given in tries:
        try:
            made = framework.convert(name, _whole(framework, name, given, rule))
        except UserError:
            continue
        if _has_form(made, rule):
            return name, given, True
    return (*tries[0], False) if tries else None


def _tries(framework: Framework, rule: Rule) -> Iterator[tuple[str, Settings]]:
    """Optimizers and settings for a rule, the plainest of the likeliest first."""
    layers = list(_layers(rule))
    names = list(dict.fromkeys(named(layer).name.partition("(")[0] for layer in layers))
    found = [
        (base, name)
        for base in names
        for name, known in framework.optimizers.items()
        if base in known.of
    ]
    around = {k: v for layer in layers[:-1] for k, v in framework.around(layer).items()}  # pyright: ignore[reportArgumentType]
    for base, name in found:
        known = framework.optimizers[name]
        usual = RULES[base].rule.settings
        called = known.called(known.of[base])
        form = {
            called[ours][0]: value
            for ours, value in rule.settings.items()
            if ours in called and value != usual.get(ours, value) and isinstance(value, (bool, str))
        }
        more = {key: value for key, value in (form | around).items() if key in known.settings}
        yield name, known.of[base]
        yield name, {**known.of[base], **more}


def _layers(rule: Rule) -> Iterator[Rule]:
    """The rule with all that is around it, then without the outermost, down to the rule alone."""
    yield rule
    if isinstance(rule, Transform):
        yield from _layers(rule.rule)


def _has_form(made: Rule, rule: Rule) -> bool:
    """Whether a converted rule has the transforms and the options that were asked for.

    Options that are as the rule's registered form has them may be another framework's own.
    """
    base = RULES.get(_base(rule))
    if base is not None and rule.structure == base.rule.structure:
        return True
    (*around, _), (*wanted, _) = _layers(made), _layers(rule)
    if [type(layer) for layer in around] != [type(layer) for layer in wanted]:
        return False
    usual = {} if base is None else base.rule.settings
    return all(
        made.settings.get(name) == value
        for name, value in rule.settings.items()
        if rule.specs[name].metadata["kind"] == "option"
        and (name not in usual or value != usual[name])
    )


def _whole(framework: Framework, name: str, given: Settings, rule: Rule) -> Settings:
    """Settings with a rate where there has to be one."""
    needs = framework.optimizers[name].settings[framework.rate] is REQUIRED
    return {**({framework.rate: rule.specs["lr"].default} if needs else {}), **given}


def _elsewhere(
    key: str, framework: Framework, name: str, chosen: Settings, has_form: bool, rule: Rule
) -> Elsewhere:
    specs, known = rule.specs, framework.optimizers[name]
    path = f"{framework.module}.{name}"
    given = _whole(framework, name, chosen, rule)
    same = framework.convert(name, given)
    found: dict[str, Theirs] = {}
    called = known.called(chosen)
    for ours in specs.keys() & (called.keys() | same.settings.keys()):
        value = same.settings.get(ours)
        theirs, typed = called.get(ours, ("", value))
        differs = typed is not REQUIRED and (value or 0) != (rule.settings[ours] or 0)
        found[ours] = Theirs(theirs, typed, differs)
    example = f'talweg.convert("{key}", "{name}", {framework.rate}=0.01)'
    note = (known.note + _decay(framework, name, given)).strip()
    written = call(path, given.items())
    return Elsewhere(framework.name, path, written, same, has_form, found, note, example)


def _decay(framework: Framework, name: str, given: Settings) -> str:
    """What an optimizer's weight decay is, where it is around the rule."""
    if "weight_decay" not in framework.optimizers[name].settings:
        return ""
    try:
        rule = framework.convert(name, {**given, "weight_decay": 0.1})
    except UserError:
        return ""
    decay = next((layer for layer in _layers(rule) if isinstance(layer, WeightDecay)), None)
    return f" weight_decay is {'decoupled' if decay.decoupled else 'coupled'}." if decay else ""
