"""The order in which a training run sees its samples: a pure function of seed and step."""

from collections.abc import Iterator

import numpy as np


class Batches:
    """Batches of (epoch, index) from step `start` to the last, for a loader's `batch_sampler`.

    Each epoch is a fresh permutation drawn from (seed, epoch); what does not fill a batch at its
    end is left out of that epoch. A run that goes on at `start` sees exactly what an uninterrupted
    one would. Of `size` processes, that of `rank` has its share of each batch: together, and in the
    order of ranks, they have what one process would.
    """

    def __init__(
        self,
        n_samples: int,
        *,
        batch_size: int,
        epochs: int,
        seed: int,
        start: int,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        if n_samples < batch_size:
            raise ValueError(
                f"{n_samples} samples do not fill one batch of {batch_size}; lower batch_size, "
                "or hold fewer images out"
            )
        if batch_size % size:
            raise ValueError(
                f"a batch of {batch_size} does not divide among {size} processes; change "
                "batch_size or processes"
            )
        self.n_samples, self.batch_size, self.seed = n_samples, batch_size, seed
        self.rank, self.share = rank, batch_size // size
        self.steps_per_epoch = n_samples // batch_size
        self.start, self.total = start, epochs * self.steps_per_epoch

    def __len__(self) -> int:
        return self.total - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        step = self.start
        while step < self.total:
            epoch, within = divmod(step, self.steps_per_epoch)
            order = np.random.default_rng([self.seed, epoch]).permutation(self.n_samples)
            for batch in range(within, self.steps_per_epoch):
                first = batch * self.batch_size + self.rank * self.share
                yield [(epoch, int(i)) for i in order[first : first + self.share]]
            step += self.steps_per_epoch - within
