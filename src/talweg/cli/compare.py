"""`talweg compare`: its options."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from talweg.cli.forecasting import show_forecast
from talweg.cli.options import AUGMENT, MEMORY, PRECISION, batch, numbers, subject_of, whole_numbers
from talweg.cli.ranking import as_values, show
from talweg.core import UserError, split_calls
from talweg.study import forecast, prepare, run


def compare(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="DATA|MODEL",
            help="A data set (digits, iris, wine, breast_cancer, diabetes), a csv, parquet, npz or "
            "npy file, a folder of parquet files, or a model as file.py:name, which then needs "
            "--data.",
        ),
    ] = "digits",
    data: Annotated[str | None, typer.Option(help="The data, where DATA|MODEL is a model.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A ready model (talweg list models), or file.py:name.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Several of them to compare, such as linear,mlp,cnn.")
    ] = None,
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
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training part; default: 20.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Updates of every run, in place of epochs.")
    ] = None,
    batch_size: Annotated[
        str, typer.Option(help="Samples per batch, or full; several to compare, such as 1,32,full.")
    ] = "64",
    drop_last: Annotated[
        bool, typer.Option("--drop-last", help="Leave out a last batch that is not full.")
    ] = False,
    hidden: Annotated[
        str | None, typer.Option(help="Units of the hidden layers; default of the mlp: 128,128.")
    ] = None,
    layers: Annotated[
        int | None, typer.Option(help="How many hidden layers, all of one width.")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Activation of a ready model; default of the mlp: relu.")
    ] = None,
    activations: Annotated[
        str | None, typer.Option(help="Several of them to compare (talweg list activations).")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help='Of the learning rate, such as cosine or "warm-up(then=cosine)".'),
    ] = None,
    schedules: Annotated[
        str | None, typer.Option(help="Several of them to compare (talweg list schedules).")
    ] = None,
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
    fractions: Annotated[
        str | None,
        typer.Option(help="Shares of training, validation and test part, such as 0.6,0.2,0.2."),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Stop rates that are behind in tuning early.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(help=MEMORY),
    ] = None,
    augment: Annotated[str | None, typer.Option(help=AUGMENT)] = None,
    precision: Annotated[str | None, typer.Option(help=PRECISION)] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be trained, its memory and its time."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> int:
    """Train every rule × learning rate × seed at once and say which rule wins."""
    chosen_model, chosen_data = subject_of("compare", subject, model, data)
    sizes = [batch(size.strip()) for size in batch_size.split(",")]
    prepared = prepare(
        chosen_model,
        chosen_data,
        models=None if models is None else split_calls(models),
        rules=None if rules is None else split_calls(rules),
        lrs=_rates(lrs),
        seeds=seeds,
        tune_seeds=tune_seeds,
        epochs=epochs,
        batch_size=sizes[0] if len(sizes) == 1 else 64,
        batch_sizes=None if len(sizes) == 1 else sizes,
        drop_last=drop_last,
        steps=steps,
        loss=loss,
        metric=metric,
        schedule=schedule,
        schedules=None if schedules is None else split_calls(schedules),
        target=target,
        device=device,
        reach=reach,
        hidden=None if hidden is None else whole_numbers("hidden", hidden),
        layers=layers,
        activation=activation,
        activations=None if activations is None else split_calls(activations),
        strategy=strategy,
        kind=kind,
        missing=missing,
        split_seed=split_seed,
        fractions=None if fractions is None else numbers("fractions", fractions),
        prune=prune,
        memory=memory,
        augment=augment,
        precision=precision,
    )
    if dry_run:
        expected = forecast(prepared)
        if as_json:
            typer.echo(json.dumps(asdict(expected), indent=1))
        else:
            show_forecast(expected, Console())
        return 0
    study = run(prepared, out, progress=not quiet)
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
