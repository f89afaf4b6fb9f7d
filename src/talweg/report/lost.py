"""What went wrong at which rate, as a table of contenders by learning rates."""

from collections.abc import Mapping

from talweg.lanes.probe import SAMPLES
from talweg.report.marks import Mark
from talweg.report.pieces import escape
from talweg.study import Study, words
from talweg.study.findings import RateFinding, by_rate, told
from talweg.study.tuning import best_rate, rates

ROWS = 20
"""Contenders in the table, the first of the ranking."""


def lost_section(study: Study, marks: Mapping[str, Mark]) -> str:
    """The section, or nothing where no rate of any contender shows anything.

    Args:
        study: The study.
        marks: Each contender's look.
    """
    history = study.history
    names = [row.name for row in study.ranking]
    names += [name for name in history.contenders if name not in names]
    shown = [name for name in names if by_rate(history, name)]
    if not shown:
        return ""
    few = shown[:ROWS]
    every = sorted({rate.lr for name in few for rate in rates(history, name)})
    head = "".join(f'<th scope="col" class="number">{words.rate(lr)}</th>' for lr in every)
    noun = escape(words.noun(study.record))
    body = "".join(_row(study, name, every, marks) for name in few)
    left = f"<p>{len(shown) - ROWS} more {noun}s are left out.</p>" if len(shown) > ROWS else ""
    return (
        '<section id="lost" aria-labelledby="lost-title"><h2 id="lost-title">What went wrong</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="What went wrong, by {noun} '
        f'and learning rate"><table class="lost"><thead><tr><th scope="col">{noun}</th>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>{left}"
        f'<p class="note">What most tuning seeds show at a rate and did not get over; the ring '
        f"marks the rate that was chosen. Layers are looked at on {_samples(study)} validation "
        "samples at the start and after 1, 2, 4, 8, … readings; weights and gradients of the "
        "start are those of the first seed.</p></section>"
    )


def _samples(study: Study) -> int:
    return min(SAMPLES, int(study.record["data"]["validation"]))


def _row(study: Study, name: str, every: list[float], marks: Mapping[str, Mark]) -> str:
    history = study.history
    found, best = by_rate(history, name), best_rate(history, name)
    tried = {rate.lr for rate in rates(history, name)}
    swatch = marks[name].swatch if name in marks else ""
    cells = "".join(
        _cell(found.get(lr, []), lr in tried, best is not None and lr == best.lr) for lr in every
    )
    label = escape(history.contenders[name]["label"])
    return f'<tr><th scope="row">{swatch} {label}</th>{cells}</tr>'


def _cell(found: list[RateFinding], is_tried: bool, is_chosen: bool) -> str:
    ring = '<span class="ring" role="img" aria-label="chosen"></span>' if is_chosen else ""
    if not is_tried:
        return '<td class="untried"></td>'
    if not found:
        return f'<td class="fine">{ring or "·"}</td>'
    every = "; ".join(f"{each.name}: {told(each)}" for each in found)
    worst = found[0]
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return (
        f'<td class="{worst.worst.severity}" title="{escape(every)}">{ring}'
        f"{escape(worst.name.removeprefix('learning '))}{more}</td>"
    )
