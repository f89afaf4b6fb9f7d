"""`talweg explain`: a rule, its settings, and what other frameworks call them."""

from typing import Annotated

import typer
from rich.console import Console

from talweg.explain import explain


def show(
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help='Such as adam or "momentum(form=average)".')
    ],
) -> None:
    """Explain a rule: formula, settings, and what PyTorch, Keras and optax make of it."""
    console, about = Console(highlight=False), explain(rule)
    if console.is_terminal:
        console.print(about)
    else:
        print(about.text(console.width))
