"""Features that stay in their files, prepared: in memory where that is small enough, or stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talweg.core import in_bytes
from talweg.data.form import Form, form_of
from talweg.data.prepare import Prepared
from talweg.data.room import room_of
from talweg.data.samples import OneInput
from talweg.data.scaling import note_on_beyond
from talweg.data.stored import Source, Store, Stored, free_on_disk
from talweg.data.survey import parts_of, survey
from talweg.data.table import Scan


def prepare_scan(scan: Scan, parts: Sequence[NDArray[np.int64]], *, scale: bool) -> Prepared:
    """Prepares parts of a scan by statistics of the first, as `prepare.prepare` does.

    All rows are read twice. Means and deviations are exact; medians and categories are those of
    up to 100,000 rows of the first part, drawn evenly.

    Args:
        scan: The features.
        parts: The rows of each part, in its order.
        scale: Whether to standardise.
    """
    first = np.zeros(len(scan), bool)
    first[parts[0]] = True
    found = survey(scan, first)
    form = form_of(found, scale)
    size = len(scan) * int(np.prod(form.shape)) * form.dtype.itemsize
    place, said = _in_memory, ""
    if size > room_of(scan.memory) / 2:
        has_room = scan.source is None or size <= free_on_disk()
        place, how = (_on_disk, "from disk") if has_room else (_as_asked, "from the data set")
        said = (
            f"the data takes {in_bytes(size)} as numbers, too much for the "
            f"{in_bytes(scan.memory)} of memory allowed{'' if has_room else ' and for the disk'}: "
            f"it is read {how} batch by batch"
        )
    inputs, beyond = place(scan, form, parts)
    notes = (*found.notes, *form.notes, *note_on_beyond(form.names, beyond))
    return Prepared(inputs, form.names, (said, *notes) if said else notes)


def _in_memory(
    scan: Scan, form: Form, parts: Sequence[NDArray[np.int64]]
) -> tuple[tuple[OneInput, ...], NDArray[np.int64]]:
    order = np.concatenate(parts)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    whole = np.empty((len(order), *form.shape), form.dtype)
    beyond = np.zeros(1, np.int64)
    for part, _, piece in parts_of(scan):
        whole[place[part]], cut = form.apply(piece)
        beyond = beyond + cut
    ends = np.cumsum([len(rows) for rows in parts])[:-1]
    return tuple(torch.from_numpy(rows) for rows in np.split(whole, ends)), beyond


def _on_disk(
    scan: Scan, form: Form, parts: Sequence[NDArray[np.int64]]
) -> tuple[tuple[OneInput, ...], NDArray[np.int64]]:
    store = Store.temporary(len(scan), form.shape, form.dtype)
    beyond = np.zeros(1, np.int64)
    for _, _, piece in parts_of(scan):
        samples, cut = form.apply(piece)
        store.append(samples)
        beyond = beyond + cut
    return _stored(store, parts), beyond


def _as_asked(
    scan: Scan, form: Form, parts: Sequence[NDArray[np.int64]]
) -> tuple[tuple[OneInput, ...], NDArray[np.int64]]:
    assert scan.source is not None
    rows = parts if scan.rows is None else [scan.rows[part] for part in parts]
    return _stored(_Formed(scan.source, form), rows), np.zeros(1, np.int64)


def _stored(source: Source, parts: Sequence[NDArray[np.int64]]) -> tuple[OneInput, ...]:
    narrow = np.int32 if max(int(rows.max()) for rows in parts) < 2**31 else np.int64
    return tuple(Stored(source, rows.astype(narrow)) for rows in parts)


@dataclass(frozen=True)
class _Formed:
    """Rows that are prepared when they are asked for; see `Source`."""

    source: Source
    form: Form

    @property
    def shape(self) -> tuple[int, ...]:
        return self.form.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.form.dtype

    @property
    def aside(self) -> bool:
        return self.source.aside

    def read(self, rows: NDArray[Any], into: NDArray[Any]) -> None:
        found = np.empty((len(rows), *self.source.shape), self.source.dtype)
        self.source.read(rows, found)
        into[...] = self.form.apply(found)[0]
