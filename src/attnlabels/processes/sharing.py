"""Runs that do not need each other, shared out among the processes of a launch."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TypeVar

import torch

from attnlabels.processes.checkpoint import InUse
from attnlabels.processes.resumable import stopping_between
from attnlabels.processes.world import LOOK_S, World

Made = TypeVar("Made")


def sharers(asked: int) -> int:
    """How many processes may share runs out: as many as asked, of GPUs no more than there are."""
    return min(asked, torch.cuda.device_count() or asked)


def share_out(names: Sequence[str], make: Callable[[str], Made], world: World) -> dict[str, Made]:
    """What `make` makes of each name, in every process; each is made by the first to come to it.

    `make` keeps a state of its own for each name, locked while it is at it (`Scratch`): it raises
    InUse where another process is, and returns at once what was made to its end. So no result
    depends on how many processes there are, and one that goes on after a kill does what is left.
    Of a single process InUse is raised, as nobody here will end what another is at. A signal
    between two of them ends the process as one in a training does.
    """
    made: dict[str, Made] = {}
    first = world.rank * len(names) // world.size
    with stopping_between():
        for name in [*names[first:], *names[:first]]:
            with nullcontext() if world.size == 1 else suppress(InUse):
                made[name] = make(name)
        for name in names:
            while name not in made:
                try:
                    made[name] = make(name)
                except InUse:
                    time.sleep(LOOK_S)
        world.agree("what was shared out", [*names])  # none forgets a state before all have read it
    return {name: made[name] for name in names}
