"""A rule's step as C++: one loop over the parameters, in which every array is read once.

The step is recorded on a few numbers, operation by operation, and each operation is written as the
IEEE operation that PyTorch makes of it, in the same order, so that the loop gives the same bits as
the rule itself.
"""

import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from talweg.core import Rule

OPERATIONS: Mapping[str, str] = {
    "add.Tensor": "{0} + {1}",
    "sub.Tensor": "{0} - {1}",
    "rsub.Scalar": "{1} - {0}",
    "mul.Tensor": "{0} * {1}",
    "div.Tensor": "{0} / {1}",
    "neg.default": "-{0}",
    "reciprocal.default": "T(1) / {0}",
    "sqrt.default": "std::sqrt({0})",
    "abs.default": "std::fabs({0})",
    "sign.default": "T({0} > T(0)) - T({0} < T(0))",
    "square.default": "{0} * {0}",
    "maximum.default": "largest({0}, {1})",
    "minimum.default": "least({0}, {1})",
    "clamp.default": "clamped({all})",
    "clamp_min.default": "clamped({0}, {1})",
    "where.self": "{0} ? {1} : {2}",
    "gt.Scalar": "{0} > {1}",
    "gt.Tensor": "{0} > {1}",
    "ge.Scalar": "{0} >= {1}",
    "ge.Tensor": "{0} >= {1}",
    "lt.Scalar": "{0} < {1}",
    "lt.Tensor": "{0} < {1}",
    "le.Scalar": "{0} <= {1}",
    "le.Tensor": "{0} <= {1}",
    "scalar_tensor.default": "T({0})",
    "zeros_like.default": "T(0)",
    "clone.default": "{0}",
    "detach.default": "{0}",
    "lift_fresh.default": "{0}",
}
"""PyTorch's operation → C++; what is missing makes a rule run as it stands."""

IDLE = {"dtype", "layout", "device", "pin_memory", "memory_format"}
"""Keywords of operations that make a tensor; the recorder looks at the dtype of what is made."""

REAL = {torch.float32: "float", torch.float64: "double"}

PRELUDE = """\
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

typedef {real} T;

// As PyTorch has them: not a number wins.
static inline T largest(T a, T b) {{ return (a != a || a > b) ? a : b; }}
static inline T least(T a, T b) {{ return (a != a || a < b) ? a : b; }}
static inline T clamped(T x, T low) {{ return (low != low || x < low) ? low : x; }}
static inline T clamped(T x, T low, T high) {{ return least(clamped(x, low), high); }}
"""

STORED = {
    "same": """\
typedef T P;
static inline T load(P x) { return x; }
static inline P stored(T x) { return x; }
""",
    "bfloat16": """\
typedef uint16_t P;
static inline T load(P x) {
  uint32_t bits = uint32_t(x) << 16;
  T value;
  std::memcpy(&value, &bits, 4);
  return value;
}
static inline P stored(T x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return P(x != x ? 0x7fc0 : rounded);
}
""",
}
"""How a parameter's dtype is read and written."""

LOOP = """
static void span(const T* __restrict c, P* __restrict p, const P* __restrict g{arrays},
                 int64_t begin, int64_t end) {{
{constants}
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {{
{body}
  }}
}}

// table: a row of addresses for the parameters, one for the gradients, one for each state.
extern "C" void step(int64_t count, const int64_t* sizes, const int64_t* table,
                     const double* scalars, int64_t threads) {{
  T c[{width}];
  for (int64_t i = 0; i < {width}; ++i) c[i] = T(scalars[i]);
  int64_t total = 0, rest = 0;
  for (int64_t k = 0; k < count; ++k) total += sizes[k];
  threads = std::max<int64_t>(1, std::min(threads, total / {grain}));
  // A large tensor is shared out by itself; of the others every thread takes some.
  const int64_t large = threads * {grain};
  for (int64_t k = 0; k < count; ++k) rest += sizes[k] < large ? sizes[k] : 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
  for (int64_t part = 0; part < threads; ++part) {{
    int64_t before = 0;
    for (int64_t k = 0; k < count; ++k) {{
      const bool alone = sizes[k] >= large;
      const int64_t all = alone ? sizes[k] : rest, since = alone ? 0 : before;
      const int64_t share = ((all + threads - 1) / threads + 15) / 16 * 16, first = part * share;
      const int64_t begin = std::max<int64_t>(0, first - since);
      const int64_t end = std::min(sizes[k], first + share - since);
      if (begin < end) {{
        const int64_t* at = table + k;
        span(c, (P*)at[0], (const P*)at[count]{columns}, begin, end);
      }}
      before += alone ? 0 : sizes[k];
    }}
  }}
}}
"""

GRAIN = 1 << 14
"""Elements for which another thread pays."""


class UnwritableError(Exception):
    """The rule's step has an operation that is not in `OPERATIONS`."""


@dataclass(frozen=True)
class Line:
    """One operation: ``name = value``, with the names that it is made from."""

    name: str
    value: str
    type: str
    shape: torch.Size
    made_from: tuple[str, ...]
    over: str = ""
    """For a sum: which, ``"sum"``, ``"mean"`` or ``"norm"``."""

    def __str__(self) -> str:
        return f"const {self.type} {self.name} = {self.value};"


class Recorder(TorchDispatchMode):
    """Writes down each operation on tensors as a line of C++.

    Args:
        names: The id of a tensor → its name.
    """

    operations: Mapping[str, str] = OPERATIONS
    real = torch.float32
    """What everything but a mask is in."""

    @property
    def known(self) -> Container[str]:
        """The operations that have C++."""
        return self.operations

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self._names = dict(names)
        self._alive: list[Any] = []  # a name goes by a tensor's id

    def __torch_dispatch__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        operation = str(func).removeprefix("aten.")
        more = {key: value for key, value in (kwargs or {}).items() if key not in IDLE}
        if operation not in self.known or more not in ({}, {"alpha": 1}):
            raise UnwritableError(operation)
        result = func(*args, **(kwargs or {}))
        given = next((value.dtype for value in args if isinstance(value, Tensor)), None)
        if not isinstance(result, Tensor) or result.dtype not in (self.real, torch.bool):
            raise UnwritableError(operation)
        if "dtype" in (kwargs or {}) and given not in (None, result.dtype):
            raise UnwritableError(f"{operation} to another dtype")
        self.lines.append(self.line(f"v{len(self.lines)}", operation, args, result))
        self._names[id(result)] = self.lines[-1].name
        self._alive += [args, result]
        return result

    def line(self, name: str, operation: str, args: Sequence[Any], result: Tensor) -> Line:
        """The operation as C++.

        Raises:
            UnwritableError: If it cannot be.
        """
        form = self.operations[operation]
        if len(args) > 1 + max(map(int, re.findall(r"\{(\d)\}", form)), default=len(args)):
            raise UnwritableError(f"{operation} with more arguments")
        words = [self.word(value) for value in args]
        value = form.format(*words, all=", ".join(words))
        kind = "bool" if result.dtype == torch.bool else "T"
        made_from = tuple(self.word(value) for value in args if isinstance(value, Tensor))
        return Line(name, value, kind, result.shape, made_from)

    def word(self, value: Any) -> str:
        """A name, or a number, in C++."""
        if isinstance(value, Tensor):
            if id(value) not in self._names:
                raise UnwritableError("a tensor that the rule made elsewhere")
            return self._names[id(value)]
        if isinstance(value, (int, float)) and math.isfinite(value):
            return f"T({float(value)!r})"
        raise UnwritableError(repr(value))


def written(
    rule: Rule, scalars: Sequence[str], states: Sequence[str], dtype: torch.dtype
) -> str | None:
    """The step of a rule's structure as C++, or None if it cannot be written.

    Args:
        rule: Any rule of the structure; its numbers are not read.
        scalars: The names of the scalars, in the order in which they will come.
        states: The names of the states, in the order in which they will come.
        dtype: Of the parameters and gradients: float32, float64 or bfloat16, with states of at
            least float32.
    """
    exact = torch.float32 if dtype == torch.bfloat16 else dtype
    if exact not in REAL:
        return None
    arrays = [torch.full((3,), 0.5 + 0.1 * i, dtype=exact) for i in range(2 + len(states))]
    numbers = [torch.tensor(0.5, dtype=exact) for _ in scalars]
    names = {id(tensor): f"x{i}" for i, tensor in enumerate(arrays)}
    names |= {id(tensor): f"c{i}" for i, tensor in enumerate(numbers)}
    recorder = Recorder(names)
    recorder.real = exact
    old = dict(zip(states, arrays[2:], strict=True))
    try:
        with torch.no_grad(), recorder:
            given = dict(zip(scalars, numbers, strict=True))
            params, new = rule.step(arrays[0], arrays[1], old, given)
        results = [recorder.word(params), *(recorder.word(new[name]) for name in states)]
    except Exception:  # not of this rule: what it cannot do at all, it says when it is run
        return None
    columns = range(len(states))
    body = ["const T x0 = load(p[i]);", "const T x1 = load(g[i]);"]
    body += [f"const T x{2 + k} = s{k}[i];" for k in columns]
    body += [*map(str, recorder.lines), f"p[i] = stored({results[0]});"]
    body += [f"s{k}[i] = {results[1 + k]};" for k in columns]
    stored = STORED["same" if exact == dtype else "bfloat16"]
    return "".join(
        (
            PRELUDE.format(real=REAL[exact]),
            stored,
            LOOP.format(
                arrays="".join(f", T* __restrict s{k}" for k in columns),
                constants="\n".join(f"  const T c{k} = c[{k}];" for k in range(len(scalars))),
                body="\n".join(f"    {line}" for line in body),
                columns="".join(f", (T*)at[{k + 2} * count]" for k in columns),
                width=max(len(scalars), 1),
                grain=GRAIN,
            ),
        )
    )
