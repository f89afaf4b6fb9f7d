"""A rule's step on a whole tensor as C++: as many passes over it as its sums need.

What is summed over a tensor, over its rows or over its columns is known after a pass; what is made
of it elementwise is computed in the next, anew from the arrays, so that nothing of the tensor's
size is kept in between. Sums are taken in double precision, over parts that do not depend on the
number of threads, so that a run is repeatable.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule
from talweg.optim.source import (
    OPERATIONS,
    PRELUDE,
    REAL,
    STORED,
    Line,
    Recorder,
    UnwritableError,
)

BLOCK = 1 << 14
"""Elements of a row, where a tensor is taken as rows that mean nothing."""
SLABS = 16
"""Parts of rows that are summed apart: the most threads that a step has."""

MORE: Mapping[str, str] = {
    "lerp.Tensor": "mixed({0}, {1}, {2})",
    "lerp.Scalar": "mixed({0}, {1}, {2})",
    "rsqrt.default": "T(1) / std::sqrt({0})",
    "clamp.Tensor": "clamped({all})",
    "clamp_max.default": "{0} > {1} ? {1} : {0}",
    "bitwise_and.Tensor": "{0} && {1}",
}
"""What whole tensors need besides the elementwise operations; rounded nearly as PyTorch does."""

SQUARE = "pow.Tensor_Scalar"
SUMS = ("sum.default", "mean.default", "sum.dim_IntList", "mean.dim", "linalg_vector_norm.default")

MIXED = """
static inline T mixed(T a, T b, T w) {
  return w < T(0.5) ? a + w * (b - a) : b - (b - a) * (T(1) - w);
}
"""

STEP = """
// sizes: elements, columns. table: addresses of the parameter, the gradient and each state.
extern "C" void step(int64_t, const int64_t* sizes, const int64_t* table, const double* scalars,
                     int64_t threads) {{
  const int64_t total = sizes[0], columns = sizes[1], rows = (total + columns - 1) / columns;
  const int64_t slabs = std::max<int64_t>(1, std::min<int64_t>(rows / {tall}, {slabs}));
  threads = std::max<int64_t>(1, std::min<int64_t>({{threads, slabs, total / {grain}}}));
  P* __restrict p = (P*)table[0];
  const P* __restrict g = (const P*)table[1];
{declared}
{body}
}}
"""

PASS = """\
  {{
{before}
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t slab = 0; slab < slabs; ++slab) {{
{opened}
      for (int64_t i = rows * slab / slabs; i < rows * (slab + 1) / slabs; ++i) {{
        const int64_t at = i * columns, width = std::min(columns, total - at);
{begun}
#pragma omp simd{reduction}
        for (int64_t j = 0; j < width; ++j) {{
{inner}
        }}
{ended}
      }}
{closed}
    }}
{after}
  }}"""

FULL, ROWS, COLUMNS, ONE = "full", "rows", "columns", "one"


class _Recorder(Recorder):
    operations: Mapping[str, str] = {**OPERATIONS, **MORE}

    @property
    def known(self) -> Container[str]:
        return {*self.operations, *SUMS, SQUARE}

    def line(self, name: str, operation: str, args: Sequence[Any], result: Tensor) -> Line:
        if operation == SQUARE:
            if args[1] != 2:
                raise UnwritableError("another power")
            return super().line(name, "square.default", args[:1], result)
        if operation == "clamp.default" and args[1] is None:
            return super().line(name, "clamp_max.default", args[::2], result)
        if operation not in SUMS:
            return super().line(name, operation, args, result)
        (given, *more), of = args, self.word(args[0])
        if given.numel() == 1 or given.dtype == torch.bool:
            raise UnwritableError("a sum of a single number, or of a mask")
        if operation == "linalg_vector_norm.default":
            if more not in ([], [2]):
                raise UnwritableError("a norm of another order")
            return Line(name, of, "T", result.shape, (of,), "norm")
        kind = "mean" if operation.startswith("mean") else "sum"  # over what, the shapes say
        return Line(name, of, "T", result.shape, (of,), kind)


class _Writer:
    """Puts lines into passes.

    Args:
        lines: What was recorded.
        shape: Of the parameter that it was recorded with.
        kinds: The kind of each array and scalar by its name.
    """

    def __init__(self, lines: Sequence[Line], shape: torch.Size, kinds: dict[str, str]) -> None:
        self.lines = {line.name: line for line in lines}
        self.kinds = dict(kinds)
        self.ready = dict.fromkeys(kinds, 0)
        for line in lines:
            self.kinds[line.name] = _kind(line.shape, shape)
            if line.over and self.kinds[line.name] == FULL:
                raise UnwritableError("a sum over nothing")
            waits = self._is_pass(line)
            self.ready[line.name] = waits + max(
                (self.ready[name] for name in line.made_from), default=0
            )

    def _is_pass(self, line: Line) -> bool:
        return bool(line.over) and self.kinds[line.made_from[0]] == FULL

    def declared(self) -> list[str]:
        """Places for what is known after a pass."""
        found: list[str] = []
        for name, line in self.lines.items():
            if self.kinds[name] == ONE:
                found.append(f"  {line.type} {name} = {line.type}(0);")
            elif self.kinds[name] in (ROWS, COLUMNS):
                found.append(f"  std::vector<T> {name}({self.kinds[name]});")
        return found

    def at(self, text: str, place: Mapping[str, str]) -> str:
        """An expression with its names as they are read at a place, kind → index."""

        def read(match: re.Match[str]) -> str:
            index = place.get(self.kinds.get(match[0], ""))
            return f"{match[0]}[{index}]" if index else match[0]

        return re.sub(r"\b[vx]\d+\b", read, text)

    def small(self, level: int) -> list[str]:
        """What is made of rows, columns and single numbers once ``level`` passes are done."""
        found: list[str] = []
        for name, line in self.lines.items():
            kind = self.kinds[name]
            if kind == FULL or self.ready[name] != level or self._is_pass(line):
                continue
            if line.over:
                of, axis = line.made_from[0], self.kinds[line.made_from[0]]
                index = {axis: "i"}
                if kind != ONE:
                    raise UnwritableError("a sum of a sum over the other side")
                count = "1" if axis == ONE else axis
                term = _term(line, self.at(of, index))
                found.append(
                    f"  {{ double sum = 0; for (int64_t i = 0; i < {count}; ++i) sum += {term};"
                    f" {name} = {_result(line, 'sum', count)}; }}"
                )
            elif kind == ONE:
                found.append(f"  {name} = {line.value};")
            else:
                value = self.at(line.value, {kind: "i"})
                value = f"bool({value})" if line.type == "bool" else value
                found.append(f"  for (int64_t i = 0; i < {kind}; ++i) {name}[i] = {value};")
        return found

    def needed(self, names: Iterable[str]) -> list[Line]:
        """The full lines that some names are made of, in order."""
        wanted = {name for name in names if name in self.lines}
        for line in reversed(self.lines.values()):
            if line.name in wanted and self.kinds[line.name] == FULL:
                wanted |= {name for name in line.made_from if name in self.lines}
        return [line for name, line in self.lines.items() if name in wanted and self.is_full(name)]

    def is_full(self, name: str) -> bool:
        """Whether it has a value for each element."""
        return self.kinds[name] == FULL

    def over(self, level: int, arrays: Sequence[str], results: Sequence[tuple[str, str]]) -> str:
        """The pass after ``level`` others: its sums, and what is written.

        Args:
            level: How many passes are done.
            arrays: Names of the arrays that have a value for each element.
            results: What is written, and the statement that writes it.
        """
        sums = [
            line
            for line in self.lines.values()
            if self._is_pass(line) and self.ready[line.name] == level + 1
        ]
        parts: dict[str, list[str]] = {
            name: [] for name in ("before", "opened", "begun", "inner", "ended", "closed", "after")
        }
        here = {ROWS: "i", COLUMNS: "j"}
        used = {of for line in sums for of in line.made_from} | {name for name, _ in results}
        chosen = self.needed(used)
        read = {name for line in chosen for name in line.made_from} | used
        parts["inner"] += [
            f"          const T {name} = {_loaded(name)};" for name in arrays if name in read
        ]
        parts["inner"] += [
            f"          const {line.type} {line.name} = {self.at(line.value, here)};"
            for line in chosen
        ]
        reduced: list[str] = []
        for line in sums:
            name, kind = line.name, self.kinds[line.name]
            term = _term(line, self.at(line.made_from[0], here))
            if kind == COLUMNS:
                parts["before"].append(f"    std::vector<double> s_{name}(slabs * columns, 0.0);")
                own = f"s_{name}.data() + slab * columns"
                parts["opened"].append(f"      double* a_{name} = {own};")
                parts["inner"].append(f"          a_{name}[j] += {term};")
                parts["after"].append(
                    f"    for (int64_t j = 0; j < columns; ++j) {{ double sum = 0;"
                    f" for (int64_t k = 0; k < slabs; ++k) sum += s_{name}[k * columns + j];"
                    f" {name}[j] = {_result(line, 'sum', 'rows')}; }}"
                )
                continue
            reduced.append(f"a_{name}")
            parts["begun"].append(f"        double a_{name} = 0;")
            parts["inner"].append(f"          a_{name} += {term};")
            if kind == ROWS:
                value = _result(line, f"a_{name}", "columns")
                parts["ended"].append(f"        {name}[i] = {value};")
                continue
            parts["before"].append(f"    std::vector<double> s_{name}(slabs, 0.0);")
            parts["opened"].append(f"      double t_{name} = 0;")
            parts["ended"].append(f"        t_{name} += a_{name};")
            parts["closed"].append(f"      s_{name}[slab] = t_{name};")
            parts["after"].append(
                f"    {{ double sum = 0; for (double part : s_{name}) sum += part;"
                f" {name} = {_result(line, 'sum', 'total')}; }}"
            )
        parts["inner"] += [f"          {statement}" for _, statement in results]
        reduction = f" reduction(+ : {', '.join(reduced)})" if reduced else ""
        return PASS.format(reduction=reduction, **{k: "\n".join(v) for k, v in parts.items()})


def _kind(shape: torch.Size, of: torch.Size) -> str:
    """What a tensor has a value for, of a parameter of the shape that was recorded with."""
    if shape == of:
        return FULL
    if shape.numel() == 1:
        return ONE
    if len(of) == 2 and shape in ((of[0], 1), (1, of[1])):
        return ROWS if shape[1] == 1 else COLUMNS
    raise UnwritableError(f"a tensor of shape {list(shape)} for a parameter of {list(of)}")


def _term(line: Line, value: str) -> str:
    return f"double({value}) * double({value})" if line.over == "norm" else f"double({value})"


def _result(line: Line, value: str, count: str) -> str:
    if line.over == "norm":
        return f"T(std::sqrt({value}))"
    return f"T({value} / double({count}))" if line.over == "mean" else f"T({value})"


def _loaded(name: str) -> str:
    if name in ("x0", "x1"):
        return f"load({'p' if name == 'x0' else 'g'}[at + j])"
    return f"{name}_[at + j]"


def written_whole(
    rule: Rule, scalars: Sequence[str], shape: torch.Size, dtype: torch.dtype
) -> tuple[str, bool] | None:
    """The step of a rule's structure on one tensor as C++, or None if it cannot be written.

    The step is recorded on that very shape, because a rule may look at it. What comes out is the
    same for all shapes that the rule does not tell apart.

    Args:
        rule: Any rule of the structure; its numbers are not read.
        scalars: The names of the scalars, in the order in which they will come; states come in the
            order of ``rule.init``.
        shape: Of the parameter.
        dtype: Of the parameter and the gradient: float32, float64 or bfloat16, with states of at
            least float32.

    Returns:
        The C++, and whether the tensor's rows mean something to it; else any will do.
    """
    exact = torch.float32 if dtype == torch.bfloat16 else dtype
    if exact not in REAL or rule.gathers or shape.numel() < 2 or (len(shape) == 2 and 1 in shape):
        return None
    params, grad = (torch.empty(shape, dtype=exact, device="meta") for _ in range(2))
    # A rule may give one tensor under two names; an optimizer keeps them apart.
    first = rule.init(params)
    old = {name: value.new_empty(value.shape) for name, value in first.items()}
    arrays = [params, grad, *old.values()]
    numbers = [torch.empty((), dtype=exact, device="meta") for _ in scalars]
    names = {id(tensor): f"x{i}" for i, tensor in enumerate(arrays)}
    names |= {id(tensor): f"c{i}" for i, tensor in enumerate(numbers)}
    recorder = _Recorder(names)
    recorder.real = exact
    try:
        if any(value.dtype != exact for value in old.values()):
            raise UnwritableError("a state of another dtype")
        with torch.no_grad(), recorder:
            given = dict(zip(scalars, numbers, strict=True))
            moved, new = rule.step(params, grad, old, given)
        results = [recorder.word(moved), *(recorder.word(new[name]) for name in old)]
        kinds = {f"x{i}": _kind(tensor.shape, shape) for i, tensor in enumerate(arrays)}
        kinds |= {f"c{i}": ONE for i in range(len(scalars))}
        writer = _Writer(recorder.lines, shape, kinds)
        text = _text(writer, results, len(scalars))
    except Exception:  # not of this rule: what it cannot do at all, it says when it is run
        return None
    stored = STORED["same" if exact == dtype else "bfloat16"]
    has_rows = bool({ROWS, COLUMNS} & set(writer.kinds.values()))
    head = PRELUDE.format(real=REAL[exact]) + "#include <vector>\n\n"
    return head + stored + MIXED + text, has_rows


def _text(writer: _Writer, results: Sequence[str], count: int) -> str:
    arrays = [name for name in writer.kinds if name.startswith("x")]
    full = [name for name in arrays if writer.is_full(name)]
    declared = [f"  const T c{k} = T(scalars[{k}]);" for k in range(count)]
    written = [(results[0], f"p[at + j] = stored({results[0]});")]
    after: list[str] = []
    for place, (name, result) in enumerate(zip(arrays[2:], results[1:], strict=True), start=2):
        if writer.is_full(name):
            if writer.kinds[result] in (ROWS, COLUMNS):
                raise UnwritableError("a state that is spread over rows or columns")
            declared.append(f"  T* __restrict {name}_ = (T*)table[{place}];")
            written.append((result, f"{name}_[at + j] = {result};"))
            continue
        if result in arrays and result != name:
            raise UnwritableError("a state that is handed on to another")
        declared.append(f"  T* __restrict {name} = (T*)table[{place}];")
        many = {ONE: "1"}.get(writer.kinds[name], writer.kinds[name])
        value = writer.at(result, {writer.kinds[name]: "i"})
        after.append(f"  for (int64_t i = 0; i < {many}; ++i) {name}[i] = {value};")
    if any(writer.kinds[name] == ONE for name in arrays):
        raise UnwritableError("a state of one number")
    last = max(writer.ready.values())
    body = writer.small(0)
    for level in range(last):
        body += [writer.over(level, full, []), *writer.small(level + 1)]
    body += [writer.over(last, full, written), *after]
    return STEP.format(
        slabs=SLABS,
        tall=8 if COLUMNS in writer.kinds.values() else 1,  # a slab has a number for each column
        grain=BLOCK,
        declared="\n".join([*declared, *writer.declared()]),
        body="\n".join(body),
    )
