"""Images on their way from a loader's workers into a network."""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.queues import Queue
from typing import Any

import cv2
from jaxtyping import Float, UInt8
from torch import Tensor
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset

from attnlabels.processes.workers import live_with_parent

cv2.setNumThreads(0)  # decoding is parallel by workers; threads beside them only get in the way

# What torch and the system say of workers that cannot hand on what they have read; its files in
# shared memory are called so.
SHORT = ("</torch_", "out of shared memory", "No space left", "Too many open files", "of ancdata")
LOST = ("DataLoader worker (pid",)
CURE = "set workers to 0 (`--workers 0`, or the stage's `workers` in params.yaml)"


def load(
    data: Dataset[Any], *, workers: int, pin_memory: bool = False, **order: Any
) -> Iterator[Any]:
    """What a DataLoader makes of `data`, read by so many processes beside this one.

    `order` says in which, as DataLoader has it. Raises OSError, with the cure, where the workers
    cannot be started or cannot hand on what they have read, and whatever `data` raises.
    """
    if workers:
        _require_semaphores(workers)
    loader: DataLoader[Any] = DataLoader(
        data, num_workers=workers, pin_memory=pin_memory, worker_init_fn=start_worker, **order
    )
    try:
        yield from loader
    except Exception as error:
        # In torch's frames the error is in a circle with the workers, which would be waited for.
        bare = error.with_traceback(None)
        if isinstance(error, (RuntimeError, OSError)) and workers and (why := _why(bare)):
            raise OSError(why) from bare
        raise bare from None


def _require_semaphores(workers: int) -> None:
    """Raise OSError unless there is what DataLoader will take; half built, it shows tracebacks."""
    try:
        _ = [multiprocessing.Event(), *(multiprocessing.Queue() for _ in range(workers + 1))]
    except OSError as error:
        raise OSError(f"no worker can be started ({error}); {CURE}") from error


def _why(error: Exception) -> str:
    """What to do where it is the workers that fail and not what they read, or ""."""
    said = (str(error).splitlines() or [""])[-1]
    if any(each in said for each in SHORT):
        return (
            f"the workers cannot hand on what they read ({said}); {CURE}, or give them more "
            "shared memory and open files (docker run --shm-size 2g, ulimit -n)"
        )
    if any(each in said for each in LOST):
        return (
            f"a worker was ended from outside ({said}), as where memory is short; take fewer "
            f"workers, or {CURE}"
        )
    return ""


def start_worker(worker: int) -> None:
    """For a DataLoader's `worker_init_fn`; without threads also where workers are not forked.

    What cannot be handed on is told in its place: the queue's own way is to print a traceback and
    to let who waits for it wait for ever.
    """
    cv2.setNumThreads(0)
    live_with_parent()
    Queue._on_queue_feeder_error = _tell  # type: ignore[attr-defined]


def _tell(queue: "Queue[Any]", error: Exception, lost: Any) -> None:
    if not isinstance(lost, tuple):  # the pipe itself is broken
        os._exit(1)
    number, _ = lost  # of the batch, as torch has it
    queue.put((number, ExceptionWrapper((type(error), error, error.__traceback__), "in a worker")))


def as_input(images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    """Pixels in [0, 1]; channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)
