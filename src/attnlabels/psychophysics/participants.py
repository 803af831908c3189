"""Networks as participants: they see the stimuli in the places of people, and answer.

So does the code of Linsley et al.'s experiment (ICLR 2019, §2.2) with features of a network and a
linear classifier. A network that is asked twice answers the same; people do not, and participants
differ. So each has noise of its own on its logits, and there are several networks.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from attnlabels.images.decoding import read_image
from attnlabels.psychophysics.design import least_used, order_of_trials


class Seen(Protocol):
    """What a network makes of images."""

    @property
    def logits(self) -> Float[np.ndarray, "n k"]: ...


See = Callable[[UInt8[np.ndarray, "n h w 3"]], Seen]


class Participant(NamedTuple):
    """Its number, the set that it sees, its network, and the sd of the noise on the logits."""

    number: int
    set: int
    network: str
    noise_sd: float


def recruit(
    count: int, *, n_sets: int, networks: Sequence[str], noise_sd: Sequence[float]
) -> list[Participant]:
    """So many participants, each with the set that is least used.

    Networks take turns within the sets, and noises once all networks had theirs, so that groups of
    sets have the same ones where both numbers divide the groups' size. Raises ValueError without
    networks or noises, and for fewer participants than two.
    """
    if count < 2 or not networks or not noise_sd:
        raise ValueError(
            f"{count} participants of {len(networks)} networks and {len(noise_sd)} noises; "
            "expected 2 or more of 1 or more"
        )
    uses, people = [0] * n_sets, list[Participant]()
    for number in range(count):
        seen = least_used(uses)
        uses[seen] += 1
        network = networks[number % len(networks)]
        sd = noise_sd[number // len(networks) % len(noise_sd)]
        people.append(Participant(number, seen, network, sd))
    return people


def see_all(
    folder: Path, stimuli: Sequence[str], see: See, *, batch_size: int
) -> Float[np.ndarray, "n k"]:
    """A network's logits of the stimuli, paths below `folder`, each of which it sees once."""
    starts = range(0, len(stimuli), batch_size)
    batches = (stimuli[start : start + batch_size] for start in starts)
    return np.concatenate(
        [see(np.stack([read_image(folder / path) for path in batch])).logits for batch in batches]
    )


def answer(
    participant: Participant,
    seen: pd.DataFrame,
    logits: Float[np.ndarray, "n k"],
    *,
    classes: Sequence[str],
    seed: int,
) -> list[dict[str, Any]]:
    """A participant's trials, in its order: rows of a table of trials, without times.

    `seen` are its set's rows of the table of stimuli, `logits` its network's of each.
    """
    rng = np.random.default_rng([seed, participant.number, 1])  # apart from that of the order
    noisy = logits + participant.noise_sd * rng.standard_normal(logits.shape)
    answers = [classes[k] for k in noisy.argmax(axis=1)]
    order = order_of_trials(len(seen), seed=seed, participant=participant.number)
    told = seen[["image", "class", "map_type", "share"]].to_dict("records")
    who = {
        "participant": participant.number,
        "network": participant.network,
        "noise_sd": participant.noise_sd,
    }
    return [{**who, "trial": n, **told[i], "response": answers[i]} for n, i in enumerate(order)]
