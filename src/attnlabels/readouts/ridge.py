"""Ridge regression in closed form, from sums over rows that need not fit into memory together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attnlabels.metrics.search import CannotTry, Number, search

GRID = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)  # penalties that are tried first
LEAST, MOST = 1e-9, 1e6  # of the search: nearly none, and hardly a weight left
NONE = 1e-12  # share of a mean square, below which a variance is rounding


@dataclass
class Sums:
    """The normal equations of `n` rows: sums of x, y and their products, in float64."""

    n: int
    x: Float64[Tensor, "d"]
    y: Float64[Tensor, ""]
    xx: Float64[Tensor, "d d"]
    xy: Float64[Tensor, "d"]
    yy: Float64[Tensor, ""]

    @classmethod
    def none(cls, d: int, device: torch.device) -> "Sums":
        """Those of no rows, of `d` columns."""
        one, row = (torch.zeros(size, dtype=torch.float64, device=device) for size in ((), (d,)))
        square = torch.zeros((d, d), dtype=torch.float64, device=device)
        return cls(0, row, one, square, row.clone(), one.clone())

    def add(self, x: Float[Tensor, "m d"], y: Float[Tensor, "m"]) -> None:
        """Count rows in."""
        x, y = x.double(), y.double()
        self.n += len(x)
        self.x = self.x + x.sum(dim=0)
        self.y = self.y + y.sum()
        self.xx.addmm_(x.T, x)
        self.xy = self.xy + y @ x
        self.yy = self.yy + y @ y


class Line(NamedTuple):
    """y = x · weight + bias, and the penalty that it was fitted with.

    `why_ended`: of the search for the penalty, where the best may lie beyond what it tried.
    """

    weight: Float64[Tensor, "d"]
    bias: Float64[Tensor, ""]
    penalty: float
    why_ended: str | None = None

    def error(self, sums: Sums) -> float:
        """The mean of squared residuals over the rows."""
        w, b = self.weight, self.bias
        of_line = w @ sums.xx @ w + 2 * b * (w @ sums.x) + sums.n * b * b
        return float(sums.yy - 2 * (w @ sums.xy + b * sums.y) + of_line) / sums.n


def total(parts: Iterable[Sums]) -> Sums:
    """The sums of all rows of some parts, one or more."""
    first, *rest = parts
    sums = Sums(first.n, first.x, first.y, first.xx.clone(), first.xy, first.yy)
    for each in rest:
        sums.n += each.n
        sums.x = sums.x + each.x
        sums.y = sums.y + each.y
        sums.xx += each.xx
        sums.xy = sums.xy + each.xy
        sums.yy = sums.yy + each.yy
    return sums


class Standardised:
    """The normal equations in columns of mean 0 and deviation 1; a constant column has no part."""

    def __init__(self, sums: Sums) -> None:
        self.mean, self.y = sums.x / sums.n, sums.y / sums.n
        square = sums.xx.diagonal() / sums.n
        variance = square - self.mean**2
        inverse = torch.where(variance > NONE * square, variance.clamp_min(0).rsqrt(), 0.0)
        self.scale = inverse.nan_to_num(posinf=0.0)
        self.correlation = sums.xx / sums.n
        self.correlation -= torch.outer(self.mean, self.mean)
        self.correlation *= self.scale[:, None]
        self.correlation *= self.scale
        self.with_y = (sums.xy / sums.n - self.mean * self.y) * self.scale

    def fit(self, penalty: float) -> Line:
        """The line of least mean squared residual + penalty · ‖standardised weights‖².

        Raises CannotTry where the penalty is too small for the columns' rank.
        """
        system = self.correlation.clone()
        system.diagonal().add_(penalty)
        factor, failed = torch.linalg.cholesky_ex(system)
        if failed:
            raise CannotTry(f"a penalty of {penalty:.2g} leaves the columns dependent")
        weight = torch.cholesky_solve(self.with_y[:, None], factor)[:, 0] * self.scale
        return Line(weight, self.y - weight @ self.mean, penalty)


def fit_best(parts: Sequence[Sums], *, development: int, grid: Sequence[float] = GRID) -> Line:
    """The line of all parts, with the penalty best on the part `development` of lines of the rest.

    The search begins with the `grid` and goes on where the best is at its end. Raises ValueError
    for fewer than two parts, for a part without rows, and where no penalty of the grid can be had.
    """
    if len(parts) < 2 or not all(part.n for part in parts):
        raise ValueError(
            "too few images to fit a readout on and to choose its penalty by; give more"
        )
    rest = Standardised(total(each for i, each in enumerate(parts) if i != development))

    def score(penalties: Sequence[Number]) -> Iterator[tuple[Number, float]]:
        for penalty in penalties:
            yield penalty, -rest.fit(penalty).error(parts[development])

    best = search(sorted(grid, reverse=True), score, least=LEAST, most=MOST)
    return Standardised(total(parts)).fit(best.value)._replace(why_ended=best.why_ended)
