"""A partner's guesses: one thread runs the network for all who play, several images at a time."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from attnlabels.collecting.settings import N_TOLD
from attnlabels.serving.refusals import Refused

WAITING = 128  # guesses; who comes then is refused, and the next guess of that round sees more
TOGETHER = 16
PATIENCE_S = 5.0

Square = UInt8[np.ndarray, "s s 3"]


@dataclass(frozen=True, kw_only=True)
class Partner:
    """A network that names what it sees, with a probability of each of its classes."""

    classes: Sequence[str]
    square: Callable[[UInt8[np.ndarray, "h w 3"]], Square]  # the view that it is shown of an image
    see: Callable[[UInt8[np.ndarray, "n s s 3"]], Float[np.ndarray, "n k"]]
    identity: dict[str, Any]  # as JSON can hold it: what else would be another partner


class Guesser:
    """Asks a partner for many at once."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.asked: queue.Queue[tuple[Square, Future[Any]] | None] = queue.Queue(WAITING)
        self.thread = threading.Thread(target=self._work, name="partner", daemon=True)
        self.thread.start()

    def guess(self, image: UInt8[np.ndarray, "h w 3"]) -> list[tuple[str, float]]:
        """The five likeliest classes of what is shown, with their probabilities, the first first.

        Raises Refused where too many wait, or it takes too long.
        """
        answer: Future[Any] = Future()
        try:
            self.asked.put_nowait((self.partner.square(image), answer))
            probabilities = answer.result(PATIENCE_S)
        except (queue.Full, NotInTime) as error:
            raise Refused(503, "the partner is busy", retry_s=1.0) from error
        best = np.argsort(-probabilities, kind="stable")[:N_TOLD]
        return [(self.partner.classes[k], round(float(probabilities[k]), 4)) for k in best]

    def close(self) -> None:
        """End the thread once what was asked is answered."""
        self.asked.put(None)
        self.thread.join()

    def _work(self) -> None:
        going_on = True
        while going_on:
            batch = [self.asked.get()]
            while len(batch) < TOGETHER:
                try:
                    batch.append(self.asked.get_nowait())
                except queue.Empty:
                    break
            going_on = None not in batch
            self._answer([each for each in batch if each is not None])

    def _answer(self, batch: list[tuple[Square, Future[Any]]]) -> None:
        if not batch:
            return
        squares, answers = zip(*batch)
        try:
            found = self.partner.see(np.stack(squares))
        except Exception as error:  # whatever a network of others raises, all who wait are told
            for each in answers:
                each.set_exception(error)
            return
        for each, row in zip(answers, found):
            each.set_result(row)
