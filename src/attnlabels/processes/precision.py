"""The arithmetic of a network: which there are, and which of two this machine is faster in."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn
from tqdm import tqdm

from attnlabels.processes.world import World

Precision = Literal["fp32", "bf16", "fp16"]
Choice = Literal["fp32", "bf16", "fp16", "auto"]  # auto: as `faster` finds
DTYPE = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}  # of autocast, if any

LEAST = 1.05  # times as fast as fp32, or bf16 is not taken: near ties would flip
DECISIVE = 2.0  # times as fast, and a small share of the batch has told
SHARES = (1 / 16, 1.0)  # of the batch; where bf16 is emulated, a whole one takes ten times fp32's
ROUNDS = 2  # in turns, of which the shorter counts: the first also warms up

Trial = Callable[[Precision, float], object]


def faster(trial: Trial, *, world: World) -> Precision:
    """bf16 if `trial` takes clearly less time in it than in fp32, else fp32.

    `trial(precision, share)` computes, with no other effect, what will be computed often, on that
    share of a batch. All processes call this together, and take what the first finds.
    """
    ratio = 1.0
    for share in SHARES:
        times = {"fp32": float("inf"), "bf16": float("inf")}
        for _ in range(ROUNDS):
            times["fp32"] = min(times["fp32"], seconds(trial, "fp32", share, world=world))
            times["bf16"] = min(times["bf16"], seconds(trial, "bf16", share, world=world))
        ratio = world.total(times["fp32"] / times["bf16"] if world.first else 0.0)
        if not 1 / DECISIVE < ratio < DECISIVE:
            break
    taken: Precision = "bf16" if ratio >= LEAST else "fp32"
    if world.first:
        told = f"precision auto: {taken}; bf16 is {ratio:.2f} times as fast as fp32 here"
        tqdm.write(told, file=sys.stderr)
    return taken


def seconds(trial: Trial, precision: Precision, share: float, *, world: World) -> float:
    """How long a trial takes: of a CPU's time, which a busy neighbour does not lengthen."""
    on_gpu = world.device.type == "cuda"
    start = _now(world.device) if on_gpu else time.process_time()
    trial(precision, share)
    return (_now(world.device) if on_gpu else time.process_time()) - start


def _now(device: torch.device) -> float:
    torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def untouched(model: nn.Module, device: torch.device) -> Iterator[None]:
    """In this block passes through `model` move no running statistic and draw no random number."""
    buffers = [(each, each.clone()) for each in model.buffers()]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            with torch.no_grad():
                for each, before in buffers:
                    each.copy_(before)
