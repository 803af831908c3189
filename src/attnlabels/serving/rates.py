"""How often somebody may ask: buckets that fill at a rate and are emptied by requests."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_KNOWN = 10_000  # who asked last; the others' buckets are full again, or nearly


class Rates:
    """Up to `burst` requests at once and `per_s` a second, of each key by itself.

    Kept in memory alone. `clock` counts seconds and never goes back.
    """

    def __init__(
        self, *, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_s, self.burst, self.clock = per_s, burst, clock
        self.left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take one request; 0, or the seconds to wait where there is none to take."""
        with self.lock:
            now = self.clock()
            left, then = self.left.pop(key, (self.burst, now))
            left = min(self.burst, left + (now - then) * self.per_s)
            taken = left >= 1
            self.left[key] = (left - 1 if taken else left, now)
            if len(self.left) > MOST_KNOWN:
                self.left.popitem(last=False)
        return 0.0 if taken else (1 - left) / self.per_s

    def give_back(self, key: str) -> None:
        """Put back one that was taken: it was no such request after all."""
        with self.lock:
            if key in self.left:  # else it is full again already
                left, then = self.left[key]
                self.left[key] = (min(self.burst, left + 1), then)
