"""Whether a step of a training fits into the memory that is left, asked before the first is made.

What a step takes is nearly all activations, which are kept for the gradient. They are counted on a
few images, so the answer costs a moment and is known before the hours.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

import psutil
import torch
from torch import Tensor

from attnlabels.pipeline.memory import kept_free

GB, MB = 1e9, 1e6
CGROUP = Path("/sys/fs/cgroup")  # of a container: its limit may be below the machine's memory

Cures = Callable[[float], list[str]]  # what may be set to need so many times less


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes that a step takes at least: so many images at `each`, and what is `beside` them."""

    images: int
    each: float
    beside: int

    def times(self, left: int) -> float:
        """How many times too many the images are for the memory that is `left`."""
        room = left - self.beside
        return self.images * self.each / room if room > 0 else float("inf")

    def told(self, left: int, device: torch.device) -> str:
        return (
            f"a step needs {(self.images * self.each + self.beside) / GB:.1f} GB or more, "
            f"{self.images} images × {self.each / MB:.1f} MB measured and {self.beside / GB:.1f} "
            f"GB of weights, and {device} has {left / GB:.1f} GB left"
        )


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How a batch is divided, and the parameters of a section that may divide it further.

    `chunks` is None where the section has no such parameter; `beside` are images that join each
    batch. The processes each have a GPU of their own, or share the memory of CPUs.
    """

    section: str
    batch_size: int
    processes: int
    gpus: bool
    chunks: int | None = None
    beside: int = 0

    def cures(self, times: float) -> list[str]:
        """What may be set, each by itself, so that a pass has `times` fewer images."""
        chunks, found = self.chunks or 1, []
        if self.chunks and (more := self._divide(chunks * times, self.processes)):
            seen = self.batch_size // self.processes // more
            found.append(f"chunks to {more} (batch norm then sees {seen} of the batch at a time)")
        if self.gpus and (more := self._divide(self.processes * times, chunks)):
            found.append(f"processes to {more}, each with such a GPU")
        step = self.processes * chunks
        if (fewer := int(self.batch_size / times) // step * step) >= 2 * step:
            found.append(f"batch_size to {fewer}")
        return [f"{self.section}.{each}" for each in found]

    def _divide(self, least: float, others: int) -> int | None:
        """The least number of parts, `least` or more, that divide what `others` have, or None."""
        if least == float("inf"):
            return None
        for parts in takewhile(
            lambda n: 2 * n * others <= self.batch_size, count(int(-(-least // 1)))
        ):
            if self.batch_size % (parts * others) == self.beside % (parts * others) == 0:
                return parts
        return None


def require_room(need: Need, left: int, device: torch.device, cures: Cures) -> None:
    """Raises ValueError with the numbers, and what to set, if `need` is more than is `left`."""
    times = need.times(left)
    if times > 1:
        raise ValueError(f"{need.told(left, device)}; {advice(cures(times))}")


def advice(cures: list[str]) -> str:
    return f"set {', or '.join(cures)}" if cures else "take a machine with more memory"


def left_on(device: torch.device) -> int:
    """Bytes that this process may still take on its device; of a CPU's its share, and its own."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + kept
    free = min([psutil.virtual_memory().available, *_left_in_container()])
    # What an earlier training of this process has left free stays its own.
    return free // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) + kept_free()


def kept_bytes(compute: Callable[[], object]) -> int:
    """Bytes of all that `compute` keeps for its gradient, what is kept twice counted once."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # or a place in memory would be another tensor's later

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in kept:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor.detach())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        compute()
    return sum(kept.values())


def _left_in_container() -> Iterator[int]:
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
        fields = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        if limit != "max":  # pages of files are given back when they are asked for
            yield max(0, int(limit) - used + int(fields.get("inactive_file", 0)))
    except (OSError, ValueError):  # no such container, or another kind of it
        return
