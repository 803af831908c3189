"""Time the contrastive loss and watch its memory, against the limits below. Linux; wants lightly.

    pip install lightly && python benchmarks/nt_xent.py

Forward and backward of 2,048 images (4,096 views of 128 numbers) in single precision on one
thread, in turns with lightly's NTXentLoss, and with the arithmetic that any form must do over all
pairs of views: two matrix products and an exponential. Memory is how far the resident peak of a
fresh process rises over what it held before; inputs are counted before, their gradients after.
Leaves with status 1 if a limit is missed. About half a minute on one core.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from ratios import Bound, in_turns, ratios, report

from attnlabels.losses.nt_xent import nt_xent

IMAGES, DIMENSIONS, TEMPERATURE = 2048, 128, 0.1
LEAST_FASTER = 3.3
MOST_COST = 1.4
MOST_MB = 30.0
ROUNDS = 9
STATUS = Path("/proc/self/status")


def main() -> None:
    try:
        from lightly.loss import NTXentLoss
    except ImportError:
        raise SystemExit(
            "benchmarks/nt_xent.py: compares with lightly; pip install lightly"
        ) from None
    if not STATUS.is_file():
        raise SystemExit("benchmarks/nt_xent.py: run it on Linux, which tells a process its peak")
    torch.set_num_threads(1)
    theirs = NTXentLoss(temperature=TEMPERATURE)
    report(*measure(theirs, n=IMAGES, rounds=ROUNDS))


def measure(
    theirs: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], *, n: int, rounds: int
) -> tuple[dict[str, list[float]], list[Bound]]:
    z0, z1 = views(n)
    z = F.normalize(torch.cat([z0, z1]).detach(), dim=1) / TEMPERATURE**0.5
    pairs, out = torch.empty(2 * n, 2 * n), torch.empty_like(z)

    def unavoidable() -> None:
        torch.mm(z, z.T, out=pairs).exp_()
        torch.mm(pairs, z, out=out)

    ours = f"ours, {n:,} images"
    seconds = in_turns(
        {
            ours: lambda: nt_xent(z0, z1, temperature=TEMPERATURE).backward(),
            "lightly's": lambda: theirs(z0, z1).backward(),
            "two products and exp": unavoidable,
        },
        rounds=rounds,
    )
    context = multiprocessing.get_context("spawn")  # a fork would share the parent's memory
    with ProcessPoolExecutor(1, mp_context=context) as fresh:
        megabytes = fresh.submit(extra_megabytes, n).result()
    faster = ratios(seconds["lightly's"], seconds[ours])
    cost = ratios(seconds[ours], seconds["two products and exp"])
    return seconds, [
        Bound("times as fast as lightly's", faster, LEAST_FASTER, True, ""),
        Bound("cost over two products and exp", cost, MOST_COST, False, ""),
        Bound("extra memory at the peak", [megabytes], MOST_MB, False, " MB"),
    ]


def views(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z0, z1 = (torch.randn(n, DIMENSIONS, generator=generator) for _ in range(2))
    return z0.requires_grad_(), z1.requires_grad_()


def extra_megabytes(n: int) -> float:
    """By how much one loss and its gradient raise the peak of this process."""
    torch.set_num_threads(1)
    z0, z1 = views(n)
    for each in (2, n):  # the first loads the libraries
        before = resident("VmRSS")
        nt_xent(z0[:each], z1[:each], temperature=TEMPERATURE).backward()
    return resident("VmHWM") - before


def resident(which: str) -> float:
    """Megabytes held now (VmRSS) or at the peak (VmHWM)."""
    (line,) = (each for each in STATUS.read_text().splitlines() if each.startswith(which))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
