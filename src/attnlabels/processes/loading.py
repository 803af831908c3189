"""Images on their way from a loader's workers into a network."""

import signal

import cv2
from jaxtyping import Float, UInt8
from torch import Tensor

cv2.setNumThreads(0)  # decoding is parallel by workers; threads beside them only get in the way


def start_worker(worker: int) -> None:
    """For a DataLoader's `worker_init_fn`; without threads also where workers are not forked.

    A signal that reaches all processes of a job is the main one's to answer: it still needs its
    workers for the step that it ends with. They end with it.
    """
    cv2.setNumThreads(0)
    for each in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)


def as_input(images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    """Pixels in [0, 1]; channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)
