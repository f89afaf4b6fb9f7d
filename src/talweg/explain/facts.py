"""What a rule says of itself: its docstring, its fields, and its counterparts elsewhere."""

import inspect
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass
from typing import Any

from talweg.core import Rule, UserError
from talweg.explain.conversion import FRAMEWORKS
from talweg.explain.counterpart import REQUIRED, Framework, Settings, call
from talweg.rules import RULES, named
from talweg.transforms import Transform, WeightDecay


@dataclass(frozen=True)
class Part:
    """A rule or a transform, as its docstring has it.

    Args:
        name: The class.
        summary: The first sentence.
        formula: The update, line by line; empty where the summary says all.
        notes: The paragraphs after it.
        source: Where it comes from.
        arguments: Name → what the docstring says of it.
    """

    name: str
    summary: str
    formula: tuple[str, ...]
    notes: tuple[str, ...]
    source: str
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Setting:
    """A hyperparameter or an option.

    Args:
        name: What it is called.
        symbol: Its letter in the formula, where that is another.
        default: Its class's default.
        value: What it is in the rule at hand.
        allowed: The values that are taken.
        usual: The values that are usual, where it is known.
        does: What it does.
    """

    name: str
    symbol: str
    default: Any
    value: Any
    allowed: str
    usual: str
    does: str


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


def parts(rule: Rule) -> tuple[Part, ...]:
    """The rule itself, then what is around it, from the inside out."""
    inner = parts(rule.rule) if isinstance(rule, Transform) else ()
    return (*inner, _part(type(rule)))


def settings(rule: Rule, said: Mapping[str, str]) -> tuple[Setting, ...]:
    """Every setting of a rule, and of what is around it.

    Args:
        rule: The rule.
        said: What docstrings say of the settings.
    """
    return tuple(
        _setting(rule, spec, said.get(name, ""))
        for name, spec in rule.specs.items()
        if spec.metadata["kind"] in ("hyper", "option")
    )


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


def shown(value: Any) -> str:
    """A value, as short as it can be typed."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return f"{value}"


def _base(rule: Rule) -> str:
    """The registered name that the rule goes by, or the rule inside of what is around it."""
    name = named(rule).name.partition("(")[0]
    return _base(rule.rule) if name not in RULES and isinstance(rule, Transform) else name


def _part(kind: type[Rule]) -> Part:
    text = inspect.cleandoc(kind.__doc__ or "")
    if text.startswith(f"{kind.__name__}("):  # a dataclass without a docstring has this
        text = ""
    summary, formula, source = "", (), ""
    notes: list[str] = []
    arguments: dict[str, str] = {}
    for place, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if paragraph.startswith("Args:"):
            arguments = dict(_arguments(paragraph))
        elif paragraph.startswith("Source:"):
            source = _line(paragraph.removeprefix("Source:"))
        elif place == 0:
            summary = _line(paragraph)
        elif place == 1 and "←" in paragraph:
            formula = tuple(_formula(paragraph))
        elif not paragraph.startswith((">>>", "Raises:")):
            notes.append(_line(paragraph))
    return Part(kind.__name__, summary, formula, tuple(notes), source, arguments)


def _line(text: str) -> str:
    """Text without its line breaks and marks of code."""
    plain = re.sub(r"\*(\w[^*]*)\*", r"\1", text.replace("`", ""))
    return re.sub(r"\s+", " ", plain).strip()


def _formula(paragraph: str) -> Iterator[str]:
    """The lines of a formula; one that ends in mid-sentence goes on with the next."""
    whole = re.sub(r"(?<=\w)\n(?!``[^`]*[←=])", " ", paragraph)
    return (_line(line) for line in whole.splitlines())


def _arguments(paragraph: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"^    (\w+): (.*(?:\n {8}.*)*)", paragraph, re.MULTILINE):
        yield found[1], re.sub(r"\s+", " ", found[2])


def _setting(rule: Rule, spec: Field[Any], said: str) -> Setting:
    letter = re.match(r"``([^`\s\"]+)``[,:]", said)
    _, _, more = said.partition(". ")
    does = f"{spec.metadata['doc']}{'. ' if more else ''}{_line(more).removesuffix('.')}"
    return Setting(
        spec.name,
        letter[1] if letter else "",
        spec.default,
        rule.settings[spec.name],
        _allowed(spec),
        _usual(rule, spec),
        does,
    )


def _allowed(spec: Field[Any]) -> str:
    if spec.metadata["kind"] == "option":
        return _choices(spec.default, spec.metadata["choices"])
    above, least, below = (spec.metadata[key] for key in ("above", "at_least", "below"))
    bounds = [f"> {above:g}"] if above > -math.inf else []
    bounds += [f"≥ {least:g}"] if least > -math.inf else []
    bounds += [f"< {below:g}"] if below < math.inf else []
    return ", ".join(bounds)


def _choices(default: Any, choices: tuple[str, ...]) -> str:
    if choices or isinstance(default, bool):
        return ", ".join(choices or ("False", "True"))
    return f"{len(default)} numbers" if isinstance(default, tuple) else "1, 2, 3, …"


def _usual(rule: Rule, spec: Field[Any]) -> str:
    usual = rule.lr_range if spec.name == "lr" else spec.metadata.get("usual")
    return " – ".join(map(shown, map(float, usual))) if usual else ""


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
    if [type(layer) for layer in _layers(made)] != [type(layer) for layer in _layers(rule)]:
        return False
    usual = {} if base is None else base.rule.settings
    return all(
        made.settings[name] == value
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
