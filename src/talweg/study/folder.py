"""The run folder: written so that a kill at any moment leaves one that loads.

``study.json`` is replaced as a whole; ``metrics/00001.parquet`` and its followers are each written
under a temporary name, flushed to the disk and renamed. Nothing is ever unpickled.
"""

import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from talweg.core import UserError, listing, write_atomically
from talweg.study.history import SCHEMA

FORMAT = 2
"""Of the record; it goes up when a reader of the one before would misread it."""
RECORD, METRICS, CHECKPOINT = "study.json", "metrics", "checkpoint"
PARTS: dict[str, type] = {
    "name": str,
    "status": str,
    "asked": dict,
    "task": dict,
    "data": dict,
    "factors": dict,
    "contenders": list,
    "lanes": list,
    "log": list,
    "versions": dict,
    "machine": dict,
}
"""What a record holds at least."""


class RunFolder:
    """A run folder that is being written.

    Args:
        path: An existing folder.

    Attributes:
        rows: How many rows of metrics have been written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._parts = 0
        self._waiting: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}

    @classmethod
    def create(
        cls, out: str | os.PathLike[str] | None, name: str, record: Mapping[str, Any]
    ) -> "RunFolder":
        """A new folder: ``out``, or ``runs/NAME-DATE-TIME``.

        A folder that is not there is made under a temporary name, so that it holds a record as
        soon as it is there.

        Raises:
            UserError: If it cannot be written or holds something already.
        """
        if not isinstance(out, (str, os.PathLike, NoneType)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"out must be a path, got {type(out).__name__}")
        if out == "":
            raise UserError("out must be a path, got ''")
        path = Path(out) if out is not None else _fresh_name(name)
        try:
            if path.is_dir() and any(path.iterdir()):
                raise UserError(f"the output folder {str(path)!r} is not empty; name another")
            if path.exists() and not path.is_dir():
                raise UserError(f"the output folder {str(path)!r} is a file; name another")
            if path.is_dir():
                cls._fill(path, record)
            else:
                cls._make(path, record)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"cannot write to the output folder {str(path)!r}: {reason}") from error
        return cls(path)

    @classmethod
    def _make(cls, path: Path, record: Mapping[str, Any]) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.mkdir(parents=True)
            cls._fill(temporary, record)
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    @classmethod
    def _fill(cls, path: Path, record: Mapping[str, Any]) -> None:
        (path / METRICS).mkdir()
        cls(path)._write_record(record)

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Inside, a full disk or a folder that vanished is told as bad input is."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(
                f"cannot write to the run folder {str(self.path)!r}: {reason}"
            ) from error

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Replaces ``study.json``."""
        with self._writing():
            self._write_record(record)

    def _write_record(self, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False)
        write_atomically(self.path / RECORD, lambda file: file.write(text.encode()))

    def add(
        self, lane: int, step: int, epoch: float, split: str, metric: str, value: float
    ) -> None:
        """Adds a row to what the next `flush` writes."""
        row = (lane, step, epoch, split, metric, value)
        for column, entry in zip(self._waiting.values(), row, strict=True):
            column.append(entry)

    def flush(self) -> None:
        """Writes the rows added since the last time as one more file."""
        if not self._waiting["lane"]:
            return
        table = pa.table(self._waiting, schema=SCHEMA)
        path = self.path / METRICS / f"{self._parts + 1:05d}.parquet"
        with self._writing():
            write_atomically(path, lambda file: pq.write_table(table, file))
        self._parts += 1
        self.rows += len(table)
        for column in self._waiting.values():
            column.clear()

    def write_checkpoint(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Writes ``checkpoint/winner.safetensors`` and what is in it as json."""
        folder = self.path / CHECKPOINT
        data = save({name: value.contiguous().cpu() for name, value in tensors.items()})
        text = json.dumps(about, indent=1)
        with self._writing():
            folder.mkdir(exist_ok=True)
            write_atomically(folder / "winner.safetensors", lambda file: file.write(data))
            write_atomically(folder / "winner.json", lambda file: file.write(text.encode()))


def read_record(path: Path) -> dict[str, Any]:
    """The record of a run folder.

    Raises:
        UserError: If the folder holds no study.
    """
    file = path / RECORD
    if not file.is_file():
        what = "no such folder" if not path.is_dir() else f"it has no {RECORD}"
        raise UserError(f"{str(path)!r} is not a run folder: {what}")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{str(file)!r} is not a study's record: {error}") from error
    held: dict[str, Any] = record if isinstance(record, dict) else {}
    if held.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{str(file)!r} has format {held['format']}; this talweg reads format {FORMAT}"
        )
    missing = [key for key in ("format", *PARTS) if key not in held]
    if missing:
        raise UserError(f"{str(file)!r} is not a study's record: it has no {listing(missing)}")
    for key, kind in PARTS.items():
        if not isinstance(record[key], kind):
            raise UserError(f"{str(file)!r} is not a study's record: its {key!r} is damaged")
    return record


def read_metrics(path: Path) -> Any:
    """All metrics of a run folder, as one `pyarrow.Table` of `SCHEMA`."""
    files = sorted((path / METRICS).glob("*.parquet"))
    try:
        tables = [pq.ParquetFile(file).read().cast(SCHEMA) for file in files]
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"the metrics of {str(path)!r} cannot be read: {error}") from error
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def read_checkpoint(path: Path, winner: str) -> dict[str, Tensor]:
    """The tensors of ``checkpoint/winner.safetensors``: ``"SEED/PARAMETER"`` → value.

    Args:
        path: The run folder.
        winner: Whose they must be.

    Raises:
        UserError: If the study ended before there was a winner, or they are another rule's.
    """
    file = path / CHECKPOINT / "winner.safetensors"
    if not file.is_file():
        raise UserError(
            f"{str(path)!r} has no checkpoint: the study ended before there was a winner"
        )
    try:
        about = json.loads(file.with_name("winner.json").read_text(encoding="utf-8"))
        if about["contender"] != winner:
            raise UserError(f"{str(file)!r} holds {about['contender']}, but the winner is {winner}")
        return load_file(file)
    except (SafetensorError, OSError, json.JSONDecodeError, KeyError) as error:
        raise UserError(f"{str(file)!r} cannot be read: {error}") from error


def _fresh_name(name: str) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    start = f"{name[:60]}-{stamp}"
    path = Path("runs") / start
    count = 2
    while path.exists():
        path = Path("runs") / f"{start}-{count}"
        count += 1
    return path
