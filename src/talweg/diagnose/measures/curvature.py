"""The largest curvature of a loss: the largest eigenvalue of its Hessian."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-3
"""The estimated error, as a share, at which a largest eigenvalue is good enough for one of 1%: the
estimate knows nothing of an eigenvector that the start is all but at right angles to."""
ENOUGH = 2
"""Products in a row after which it must be so."""
ASKEW = 0.1
"""By how much products may differ from those of a symmetric matrix, as a share."""
NEARLY, NOTHING = 0.1, 1e-6
"""What a vector keeps of its length beside others, for its rest to be orthogonal to them only after
a second time, and for there to be no rest."""


@dataclass(frozen=True)
class Largest:
    """The largest eigenvalue of a symmetric matrix, as far as it was looked for.

    Attributes:
        value: The eigenvalue; what it really is is never less. NaN if products are not finite.
        error: By how much it is less, as a share; an estimate.
        vector: Its eigenvector, of length 1.
        products: The products with the matrix that were made.
    """

    value: float
    error: float
    vector: Tensor
    products: int


def largest(
    apply: Callable[[Tensor], Tensor],
    start: Tensor,
    products: int,
    tolerance: float = TOLERANCE,
) -> Largest:
    """The largest eigenvalue of a symmetric matrix that is known by its products with vectors.

    By Lanczos' method, which makes more of as many products than power iteration does, and finds
    the largest eigenvalue where a negative one is larger in size. The error is told by the residual
    and the distance to the next eigenvalue.

    Args:
        apply: A vector ``[n]`` → the matrix times it.
        start: A vector ``[n]`` that is not 0; the nearer to the eigenvector the better.
        products: Products that are made, at most.
        tolerance: The error at which it is good enough.

    Raises:
        ArithmeticError: If the matrix is not symmetric.

    Source: Golub & Van Loan, "Matrix computations" (2013), sections 10.1 and 8.1.2; Parlett, "The
    symmetric eigenvalue problem" (1998), theorem 11.7.1, for the error.

    >>> found = largest(lambda v: torch.tensor([3.0, -5.0, 1.0]) * v, torch.ones(3), 3)
    >>> round(found.value, 5), found.products
    (3.0, 3)
    """
    basis = start.new_empty(min(products, len(start)), len(start))
    diagonal: list[float] = []
    beside: list[float] = []
    vector, place, good = start / torch.linalg.vector_norm(start), 0, 0
    while True:
        basis[place] = vector
        known = basis[: place + 1]
        rest = apply(vector)
        inside = known @ rest
        rest = rest - inside @ known
        along, length = torch.stack([inside[-1], torch.linalg.vector_norm(rest)]).tolist()
        if not math.isfinite(along):
            return Largest(math.nan, math.nan, vector, place + 1)
        if beside and abs(float(inside[-2]) - beside[-1]) > ASKEW * math.hypot(along, beside[-1]):
            raise ArithmeticError("its products with vectors are not those of a symmetric matrix")
        if length < NEARLY * math.hypot(along, beside[-1] if beside else 0.0):
            rest = rest - (known @ rest) @ known
            length = float(torch.linalg.vector_norm(rest))
        diagonal.append(along)
        value, error, weights = _ritz(diagonal, beside, length)
        place += 1
        good = good + 1 if error <= tolerance else 0
        is_whole = length <= NOTHING * max(map(abs, diagonal))
        if is_whole or good == ENOUGH or place == len(basis):
            return Largest(value, error, start.new_tensor(weights) @ known, place)
        beside.append(length)
        vector = rest / length


def _ritz(
    diagonal: list[float], beside: list[float], length: float
) -> tuple[float, float, list[float]]:
    """The largest eigenvalue within the basis, its error as a share, and its eigenvector there."""
    if not beside:
        return diagonal[0], length / abs(diagonal[0]) if diagonal[0] else 1.0, [1.0]
    if len(beside) == 1:
        second, value, weights = _of_two(diagonal[0], diagonal[1], beside[0])
    else:
        size = len(diagonal)
        rows = [[0.0] * size for _ in range(size)]
        for place, number in enumerate(diagonal):
            rows[place][place] = number
        for place, number in enumerate(beside):
            rows[place + 1][place] = number  # the half that is read
        values, vectors = torch.linalg.eigh(torch.tensor(rows, dtype=torch.float64))
        *_, second, value = values.tolist()
        weights = vectors[:, -1].tolist()
    residual = length * abs(weights[-1])
    gap = value - second
    error = min(residual**2 / gap, residual) if gap > 0 else residual
    return value, error / abs(value) if value else 1.0, weights


def _of_two(first: float, second: float, beside: float) -> tuple[float, float, list[float]]:
    """Both eigenvalues of ``[[first, beside], [beside, second]]``, and the larger one's vector."""
    half = math.hypot((first - second) / 2, beside)
    middle = (first + second) / 2
    angle = math.atan2(beside, (first - second) / 2) / 2
    return middle - half, middle + half, [math.cos(angle), math.sin(angle)]


def hessian(
    grads: Sequence[Tensor], params: Sequence[Tensor], roots: Tensor | None = None
) -> Callable[[Tensor], Tensor]:
    """The Hessian of a loss as a product with vectors, which costs about a step or two.

    Args:
        grads: The loss's gradient in each parameter, with a graph of its own.
        params: The parameters.
        roots: ``P^-½`` as one vector, with ``P`` what each parameter's step is divided by: the
            matrix is then ``P^-½ H P^-½``, which has the eigenvalues of ``P^-1 H``. None for the
            Hessian itself.

    Source: Pearlmutter, "Fast exact multiplication by the Hessian" (1994).
    """
    curved = [place for place, grad in enumerate(grads) if grad.requires_grad]
    outputs = [grads[place] for place in curved]

    def apply(vector: Tensor) -> Tensor:
        parts = like(vector if roots is None else vector * roots, grads)
        found = torch.autograd.grad(
            outputs,
            list(params),
            [parts[place] for place in curved],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return flat(found) if roots is None else flat(found) * roots

    return apply if curved else torch.zeros_like


def flat(values: Sequence[Tensor]) -> Tensor:
    """Tensors as one vector, of single precision at least.

    >>> flat([torch.ones(2, 1), torch.zeros(1)])
    tensor([1., 1., 0.])
    """
    first = values[0].detach()
    if first.dtype not in (torch.float32, torch.float64):
        first = first.float()
    return torch.cat([value.detach().to(first).reshape(-1) for value in values])


def like(vector: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
    """What `flat` made one vector of, in the shapes and kinds of these tensors."""
    parts = vector.split([value.numel() for value in values])
    return [part.view(value.shape).to(value) for part, value in zip(parts, values, strict=True)]
