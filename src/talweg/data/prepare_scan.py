"""Features that stay in their files, prepared: in memory where that is small enough, or stored."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from talweg.core import in_bytes
from talweg.data.form import Form, form_of
from talweg.data.prepare import Prepared
from talweg.data.room import room_of
from talweg.data.samples import OneInput
from talweg.data.scaling import note_on_beyond
from talweg.data.stored import Store, Stored
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
    is_small = size <= room_of(scan.memory) / 2
    inputs, beyond = (_in_memory if is_small else _on_disk)(scan, form, parts)
    said = (
        f"the data takes {in_bytes(size)} as numbers, too much for the {in_bytes(scan.memory)} of "
        f"memory allowed: it is read from disk batch by batch"
    )
    notes = (*found.notes, *form.notes, *note_on_beyond(form.names, beyond))
    return Prepared(inputs, form.names, notes if is_small else (said, *notes))


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
    narrow = np.int32 if len(scan) < 2**31 else np.int64
    return tuple(Stored(store, rows.astype(narrow)) for rows in parts), beyond
