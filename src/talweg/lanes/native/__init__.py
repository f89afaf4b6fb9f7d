"""Operators of our own in C++: small products, convolutions of small images, recurrent layers.

torch's batched product runs on a vendor's library that knows large matrices, and on some
processors only half of their vector width; its grouped convolutions are made for few groups; its
recurrent layers cannot be batched. Lanes are many small ones. `load` builds and loads
``torch.ops.talweg`` and `Replace` puts it into compiled programs, operator by operator, wherever
it is faster: nothing else knows of it.
"""

from talweg.lanes.native.building import load
from talweg.lanes.native.replacing import Replace

__all__ = ["Replace", "load"]
