"""What a comparison would do, on the screen."""

from dataclasses import fields

from rich.console import Console
from rich.table import Table
from rich.text import Text

from talweg.core import in_bytes
from talweg.lanes import Footprint
from talweg.study import Forecast


def show_forecast(expected: Forecast, console: Console) -> None:
    """Prints it: what is trained, a table of what lanes take, and the time."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("")
    for part in expected.parts:
        table.add_column(f"{part.model}, batch {part.batch_size}", justify="right")
    rows = {
        "parameters": [f"{part.parameters:,}" for part in expected.parts],
        "steps of a lane": [f"{part.steps:,}" for part in expected.parts],
        "strategy": [part.strategy for part in expected.parts],
    }
    for name in (field.name for field in fields(Footprint)):
        rows[f"largest lane: {name}"] = [
            in_bytes(getattr(part.each, name)) for part in expected.parts
        ]
    rows |= {
        "lanes at a time": [f"{part.at_a_time}" for part in expected.parts],
        "memory in all": [in_bytes(part.peak) for part in expected.parts],
        "of those allowed": [in_bytes(part.allowed) for part in expected.parts],
    }
    for name, cells in rows.items():
        table.add_row(Text(name, style="dim"), *cells)
    *first, last = expected.sentences
    for line in first:
        console.print(Text(line), soft_wrap=True)
    console.print(table)
    console.print(Text(last), soft_wrap=True)
