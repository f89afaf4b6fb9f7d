"""What users wrote in files of their own."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from talweg.core.errors import UserError, choose
from talweg.core.wording import first_line


def from_file(text: str, what: str) -> Any:
    """What ``"file.py:name"`` names; the file is run, with its own folder to import from.

    Args:
        text: The file and the name.
        what: What the name stands for, such as ``"model"``.

    Raises:
        UserError: If there is no such file or name, or the file cannot be run.
    """
    path_text, _, name = text.rpartition(":")
    path = Path(path_text)
    if not path.is_file():
        raise UserError(f"no {what} file {path_text!r} (in {Path.cwd()})")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{path_text} cannot be imported: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == path.stem
        ]
        raise choose(f"{what} in {path_text}", name, own)
    return getattr(module, name)
