"""`talweg compare`: its options, and the ranking on the screen."""

import json
import math
from typing import Annotated, Any

import typer
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from talweg.cli.options import batch, numbers, subject_of, whole_numbers
from talweg.core import UserError, split_calls
from talweg.study import Row, Study, words
from talweg.study import compare as run_study


def compare(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="DATA|MODEL",
            help="A data set (digits, iris, wine, breast_cancer, diabetes), a csv, parquet, npz or "
            "npy file, or a model as file.py:name, which then needs --data.",
        ),
    ] = "digits",
    data: Annotated[str | None, typer.Option(help="The data, where DATA|MODEL is a model.")] = None,
    model: Annotated[str | None, typer.Option(help="mlp, or file.py:name.")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    rules: Annotated[
        str | None,
        typer.Option(help='Rules, such as "sgd,adam,momentum(form=average)"; default: all seven.'),
    ] = None,
    lrs: Annotated[
        list[str] | None,
        typer.Option(
            help="Learning rates for every rule (0.001,0.01,0.1) or for one (adam=1e-4,1e-3); may "
            "be repeated. Default: nine over each rule's own range."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Fresh seeds for the chosen settings.")] = 5,
    tune_seeds: Annotated[int, typer.Option(help="Seeds that rates are chosen on.")] = 2,
    epochs: Annotated[int, typer.Option(help="Passes over the training part.")] = 20,
    batch_size: Annotated[str, typer.Option(help="Samples per batch, or full.")] = "64",
    hidden: Annotated[
        str | None, typer.Option(help="Units of the MLP's hidden layers; default: 128,128.")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Activation of the MLP; default: relu.")
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(help='Of the learning rate, such as cosine or "warm-up(then=cosine)".'),
    ] = "constant",
    loss: Annotated[str | None, typer.Option(help="Loss; default: the usual one.")] = None,
    metric: Annotated[str | None, typer.Option(help="accuracy, rmse or r2.")] = None,
    reach: Annotated[
        float | None, typer.Option(help="Validation score whose first reaching is timed.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="classification or regression.")] = None,
    missing: Annotated[str | None, typer.Option(help="Gaps in features: median, error.")] = None,
    strategy: Annotated[str, typer.Option(help="auto, stacked or serial.")] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …")] = None,
    out: Annotated[
        str | None, typer.Option(help="Run folder; default: runs/NAME-DATE-TIME.")
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Draws the parts of the data.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> int:
    """Train every rule × learning rate × seed at once and say which rule wins."""
    chosen_model, chosen_data = subject_of("compare", subject, model, data)
    study = run_study(
        chosen_model,
        chosen_data,
        rules=None if rules is None else split_calls(rules),
        lrs=_rates(lrs),
        seeds=seeds,
        tune_seeds=tune_seeds,
        epochs=epochs,
        batch_size=batch(batch_size),
        loss=loss,
        metric=metric,
        schedule=schedule,
        target=target,
        device=device,
        out=out,
        progress=not quiet,
        reach=reach,
        hidden=None if hidden is None else whole_numbers("hidden", hidden),
        activation=activation,
        strategy=strategy,
        kind=kind,
        missing=missing,
        split_seed=split_seed,
    )
    if as_json:
        typer.echo(json.dumps(as_values(study), indent=1, allow_nan=False))
    else:
        show(study, Console())
    return 130 if study.record["status"] == "interrupted" else 0


def _rates(given: list[str] | None) -> list[float] | dict[str, list[float]] | None:
    if not given:
        return None
    named: dict[str, list[float]] = {}
    shared: list[float] = []
    for text in given:
        name, equals, rates = text.rpartition("=")
        found = numbers("lrs", rates)
        if equals:
            named[name.strip()] = found
        else:
            shared += found
    if named and shared:
        raise UserError("lrs must be given for all rules at once or by rule (adam=…), not both")
    return named or shared


def as_values(study: Study) -> dict[str, Any]:
    """The result of a study as plain values for JSON; what is not known is None."""
    rows = [
        {key: None if value != value else value for key, value in vars(row).items()}
        for row in study.ranking
    ]
    return {
        "status": study.record["status"],
        "ranked_on": study.ranked_on,
        "metric": study.record["task"]["metric"],
        "higher_is_better": study.record["task"]["higher_is_better"],
        "baseline": study.record["task"]["baseline"],
        "test_baseline": study.record["task"]["test_baseline"],
        "target": study.record["target"],
        "ranking": rows,
        "sentences": study.sentences,
        "folder": str(study.folder),
        "report": str(study.folder / "report.html"),
        "seconds": study.record["seconds"],
    }


def show(study: Study, console: Console) -> None:
    """Prints the ranking, what it means, and where the report lies."""
    data = study.record["data"]
    console.print()
    title = Text(study.record["name"], style="bold")
    title.append(
        f" · {study.record['model']['name']} · "
        f"{data['train']} train, {data['validation']} validation, {data['test']} test",
        style="dim",
    )
    console.print(title)
    if study.partial:
        console.print(
            Text(f"Stopped early ({study.record['status']}): a partial ranking.", style="yellow")
        )
    if study.ranking:
        console.print(_fitting_table(study, console))
    for sentence in study.sentences:
        console.print(Text("· " + sentence))
    console.print()
    console.print(
        Text(f"{_duration(study.record['seconds'])} · report ", style="dim")
        + Text(str(study.folder / "report.html"), style="bold")
    )


def _fitting_table(study: Study, console: Console) -> Table:
    """The ranking, without as many of its last columns as the screen has no room for."""
    unbounded = console.options.update(max_width=1000)
    tables = [_table(study, without) for without in range(6)]
    for table in tables:
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            return table
    return tables[-1]


def _table(study: Study, without: int) -> Table:
    """The ranking without its last columns."""
    rows, task = study.ranking, study.record["task"]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    share = words.is_share(task["metric"])
    target = words.score(study.record["target"], task)
    headings: list[tuple[str, JustifyMethod]] = [
        ("", "left"),
        ("rule", "left"),
        ("rate", "right"),
        (f"{study.ranked_on}\n{task['metric']}", "right"),
        ("95%\ninterval", "center"),
        ("to\nbest", "right"),
        (f"epochs\nto\n{target}", "right"),
        ("good\nrates", "left"),
        ("lanes\nlost", "right"),
    ]
    shown = len(headings) - without
    for heading, side in headings[:shown]:
        table.add_column(heading, justify=side, no_wrap=True, vertical="bottom", min_width=1)
    for row in rows:
        first = row.rank == 1
        low, high = (words.score(end, task, unit=False) for end in (row.low, row.high))
        cells = (
            Text(str(row.rank), style="bold green" if first else "dim"),
            Text(row.label, style="bold" if first else ""),
            words.rate(row.lr),
            Text(words.score(row.score, task), style="bold" if first else ""),
            "–" if math.isnan(row.low) else f"{low}–{high}",
            _gap(row, rows[0], share),
            "–" if row.epochs_to_target is None else f"{row.epochs_to_target:g}",
            _range(row),
            f"{100 * row.diverged:.0f}%" if row.diverged else "",
        )
        table.add_row(*cells[:shown])
    return table


def _gap(row: Row, best: Row, share: bool) -> Text:
    if row is best:
        return Text("")
    if row.label in best.ties and not math.isnan(row.p):
        return Text("tie", style="dim")
    sign = "−" if row.gap < 0 else "+"
    return Text(sign + (f"{100 * abs(row.gap):.1f}" if share else words.number(abs(row.gap), 3)))


def _range(row: Row) -> str:
    if row.good is None:
        return "–"
    low, high = (words.rate(lr) for lr in row.good)
    return low if low == high else f"{low}–{high}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unfinished"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
