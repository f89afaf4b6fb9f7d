"""A watched run for TensorBoard."""

import os
from pathlib import Path
from typing import Any

from talweg.core import UserError, as_path, writing
from talweg.diagnose.health import Health
from talweg.diagnose.moment import WHOLE


def write(health: Health, folder: str | os.PathLike[str]) -> Path:
    """Writes the measurements as scalars, ``measure/layer``, and the findings as texts.

    Args:
        health: What was measured.
        folder: Where to; an event file is added to it.

    Returns:
        The folder.

    Raises:
        UserError: If TensorBoard is not installed, or the folder cannot be written.
    """
    where = as_path("the folder", folder)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "to_tensorboard needs tensorboard: pip install 'talweg[tensorboard]'"
        ) from error
    with writing(where), SummaryWriter(str(where)) as writer:
        _fill(writer, health)
    return where


def _fill(writer: Any, health: Health) -> None:
    for step, loss in enumerate(health.losses):
        writer.add_scalar("loss", loss, step)
    for step, layer, measure, value in health.rows():
        if measure != "loss":
            writer.add_scalar(measure if layer == WHOLE else f"{measure}/{layer}", value, step)
    for one in health.findings:
        remedies = "\n".join(f"- {remedy}" for remedy in one.remedies)
        where = f"/{one.layer}" if one.layer else ""
        text = f"{one}\n\n{one.meaning}\n\n{remedies}"
        writer.add_text(f"finding: {one.name}{where}", text, one.raised)
