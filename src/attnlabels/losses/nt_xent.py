"""The contrastive loss of SimCLR, as in google-research/simclr:objective.py, in little memory.

With all 2n normalised views as the rows of z and e = exp(z zᵀ / temperature) without its diagonal,
the loss needs the row sums r of e and its gradient the product (D e + e D) z, D = diag(1 / r). As e
is symmetric, its blocks on and above the diagonal are enough; each is made when it is needed, once
forward and once backward, so no more than one is held.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Rows of a block. Of 256 to 1,024 the fastest on a CPU: two blocks in single precision are 2 MB
# and stay in the cache. A GPU has room and is slow to start its many small products.
CPU_ROWS, GPU_ROWS = 512, 4096


def nt_xent(
    z0: Float[Tensor, "n d"], z1: Float[Tensor, "n d"], *, temperature: float
) -> Float[Tensor, ""]:
    """Cross-entropy of finding each image's other view among the 2n - 1 other views.

    The sum of both directions' means, so twice the mean over views of the SimCLR paper: the
    reference code does so, and the weights of further terms are set against it. `z0` and `z1`
    hold the whole batch; with several processes, gather them first, with their gradient. The
    loss is in single precision, also of half-precision inputs, or in double if they are.

    Raises ValueError for a temperature that is not positive, or below about 0.003, where the
    exponentials overflow even in double; RuntimeError if the gradient is to be differentiated.
    """
    dtype = torch.promote_types(z0.dtype, torch.float32)  # half precision spoils the softmax
    with torch.autocast(z0.device.type, enabled=False):
        z = F.normalize(torch.cat([z0, z1]).to(_roomy(dtype, temperature, len(z0))), dim=1)
        return _NtXent.apply(z / math.sqrt(temperature)).to(dtype)


def _roomy(dtype: torch.dtype, temperature: float, n: int) -> torch.dtype:
    """`dtype`, or double if a row sum over an exponential in it may overflow in `dtype`.

    A cosine is from -1 to 1, so that ratio is at most 2n exp(2 / temperature). Below that bound
    no row's maximum is wanted, and e stays symmetric.
    """
    largest = 2 / temperature + math.log(2 * n) if temperature > 0 else math.inf
    for each in (dtype, torch.float64):
        if largest < math.log(torch.finfo(each).max):
            return each
    raise ValueError(f"temperature={temperature}, expected a positive one of about 0.003 or more")


class _NtXent(torch.autograd.Function):
    """The loss of the 2n views, whose products are their similarities over the temperature."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        sums, own = z.new_zeros(len(z)), z.new_empty(len(z) // 2)
        for i, j, e in _blocks(z):
            sums[i] += e.sum(1)
            if i != j:
                sums[j] += e.sum(0)
            if j.start - i.start == len(own):
                own[i] = e.diagonal()
        ctx.save_for_backward(z, sums)
        # The same exponentials above and below: where an own view is all there is, exactly 0.
        return (sums / own.repeat(2)).log().sum() / len(own)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Tensor:
        if torch.is_grad_enabled():  # torch's once_differentiable does not see that z has a graph
            raise RuntimeError("nt_xent can be differentiated once: leave out create_graph=True")
        z, sums = ctx.saved_tensors
        n, shares, gradient = len(z) // 2, 1 / sums, torch.zeros_like(z)
        with torch.autocast(z.device.type, enabled=False):  # this may be called in one
            for i, j, e in _blocks(z):
                e *= shares[i, None] + shares[j]
                if j.start - i.start == n:
                    e.diagonal().sub_(2)  # each of the pair finds the other
                gradient[i].addmm_(e, z[j])
                if i != j:
                    gradient[j].addmm_(e.T, z[i])
        return gradient.mul_(above / n)


def _blocks(z: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and values of each block of e on or above the diagonal, in one buffer.

    Both views are cut at the same images, so the pairs of views fill the diagonals of blocks.
    """
    n, rows = len(z) // 2, CPU_ROWS if z.device.type == "cpu" else GPU_ROWS
    slices = [
        slice(first + start, first + min(start + rows, n))
        for first in (0, n)
        for start in range(0, n, rows)
    ]
    buffer = z.new_empty(min(rows, n) ** 2)
    for index, i in enumerate(slices):
        for j in slices[index:]:
            shape = i.stop - i.start, j.stop - j.start
            e = torch.mm(z[i], z[j].T, out=buffer[: shape[0] * shape[1]].view(shape)).exp_()
            if i == j:
                e.fill_diagonal_(0)  # no view is compared with itself
            yield i, j, e
