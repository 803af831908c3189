"""One process or several of torchrun: which of them this is, and what passes between them."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

LOOK_S = 0.2  # between looks at whether files of other processes are there


@dataclass(frozen=True)
class World:
    """This process's `rank` among `size`, and the device that it computes on.

    The methods that take part of every process are called by all of them, in the same order.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes what there is one of."""
        return self.rank == 0

    @property
    def alone(self) -> "World":
        """This process as the only one, on its device."""
        return World(0, 1, self.device)

    def gather(self, rows: Tensor) -> Tensor:
        """Rows [n, ...] of every process as [size * n, ...] in the order of ranks, detached."""
        rows = rows.detach().contiguous()
        if self.size == 1:
            return rows
        gathered = rows.new_empty((self.size * len(rows), *rows.shape[1:]))
        dist.all_gather(list(gathered.chunk(self.size)), rows)
        return gathered

    def gather_around(self, rows: Tensor) -> tuple[Tensor, slice]:
        """`gather`, and where among all rows this process's are."""
        first = self.rank * len(rows)
        return self.gather(rows), slice(first, first + len(rows))

    def total(self, number: float | int) -> float:
        """The sum of every process's number, in float64."""
        if self.size == 1:
            return float(number)
        numbers = torch.tensor([number], dtype=torch.float64, device=self.device)
        dist.all_reduce(numbers)
        return float(numbers)

    def agree(self, what: str, value: object) -> None:
        """Raise ValueError unless `what` has the same value in every process."""
        if self.size == 1:
            return
        values: list[object] = [None] * self.size
        dist.all_gather_object(values, value)
        if differ := [rank for rank, other in enumerate(values) if other != values[0]]:
            raise ValueError(
                f"{what} of process {differ[0]} is not that of process 0; start all of them with "
                "the same parameters, code and data"
            )


def await_files(files: Sequence[Path]) -> None:
    """Return once all are there, whichever process makes them.

    No collective operation: these time out within minutes, and hold back signals. If a process
    fails, torchrun ends this one.
    """
    while not all(each.exists() for each in files):
        time.sleep(LOOK_S)


def own_device() -> torch.device:
    """What a process computes on that is the only one: the GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def joined() -> Iterator[World]:
    """The world that torchrun made, or one of a single process; on GPUs where there are any.

    A process that fails does not wait for the others: torchrun ends them.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield World(0, 1, own_device())
        return
    gpu = torch.cuda.is_available()
    local = int(os.environ["LOCAL_RANK"])
    if gpu:
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"this machine has {torch.cuda.device_count()} GPUs and process {local + 1} needs "
                "one of its own; lower `processes`, or hide the GPUs (CUDA_VISIBLE_DEVICES=)"
            )
        torch.cuda.set_device(local)
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    # Whoever waits here for a process that will not come hears no signal but by the default.
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    dist.init_process_group("nccl" if gpu else "gloo")
    signal.signal(signal.SIGTERM, handler)
    yield World(dist.get_rank(), size, device)
    dist.destroy_process_group()
