"""Data: sources, splits, preparation and batches.

`load` reads any source, `split` gives prepared training, validation and test parts, `as_samples`
takes data as it is given, `Stream` takes samples as they arrive, and `BatchOrder` says which
samples make which batch.
"""

from talweg.data.as_given import as_samples
from talweg.data.batches import BatchOrder
from talweg.data.bundled import BUNDLED
from talweg.data.inputs import Inputs
from talweg.data.loading import load
from talweg.data.memory import is_stream
from talweg.data.samples import Samples
from talweg.data.splits import Splits, everything, split
from talweg.data.stored import Stored
from talweg.data.stream import Stream, stream_of
from talweg.data.table import Data, Several, Table

__all__ = [
    "BUNDLED",
    "BatchOrder",
    "Data",
    "Inputs",
    "Samples",
    "Several",
    "Splits",
    "Stored",
    "Stream",
    "Table",
    "as_samples",
    "everything",
    "is_stream",
    "load",
    "split",
    "stream_of",
]
