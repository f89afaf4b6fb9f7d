"""What is typed, read: used by more than one command."""

from talweg.core import UserError
from talweg.models import MODELS

MEMORY = (
    "What data and lanes may take, such as 2G: larger tables stay on disk, more lanes wait for "
    "others. Default: 80% of what is free."
)

AUGMENT = "A function that changes the inputs of training batches at random, as file.py:name."

PRECISION = "bf16, or tf32 on a GPU: products in fewer bits. Default: as the model is."


def subject_of(command: str, subject: str, model: str | None, data: str | None) -> tuple[str, str]:
    """``(model, data)`` from the argument, which may be either, and the two options.

    Raises:
        UserError: If one of them is given twice, or missing.
    """
    if ".py:" in subject or subject.endswith(".py") or subject in MODELS:
        if model is not None:
            raise UserError(f"the model is given twice: {subject} and --model {model}")
        if data is None:
            raise UserError(f"a model needs data: talweg {command} {subject} --data NAME|FILE")
        return subject, data
    if data is not None:
        raise UserError(f"the data is given twice: {subject} and --data {data}")
    return model or "mlp", subject


def numbers(name: str, text: str) -> list[float]:
    """Numbers with commas between.

    Raises:
        UserError: If they are not.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{name} must be numbers with commas between, got {text!r}") from error


def whole_numbers(name: str, text: str) -> list[int]:
    """Whole numbers with commas between.

    Raises:
        UserError: If they are not.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UserError(
            f"{name} must be whole numbers with commas between, got {text!r}"
        ) from error


def batch(text: str) -> int | None:
    """Samples per batch, or None for ``full``.

    Raises:
        UserError: If it is neither.
    """
    if text == "full":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise UserError(f"batch_size must be a whole number or full, got {text!r}") from error
