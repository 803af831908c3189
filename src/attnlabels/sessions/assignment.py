"""Who gets which set of stimuli, and which key is which class: what fewest had."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from attnlabels.psychophysics.design import order_of_trials


def next_set(uses: Sequence[int], groups: Sequence[int], *, rng: np.random.Generator) -> int:
    """The set that fewest participants had; of several, one of the group that fewest had.

    `groups` has the number of each set's map types. One is drawn of what is then left. So sets, and
    groups too, differ by at most one participant at any time, if none leaves.
    """
    counts, of_set = np.array(uses), np.array(groups)
    of_group = np.bincount(of_set, weights=counts)
    order = np.lexsort([rng.random(len(counts)), of_group[of_set], counts])
    return int(order[0])


def next_turn(turns: Sequence[int], n_classes: int, *, rng: np.random.Generator) -> int:
    """By how many places keys move on from class to class: the turn that fewest of a group had."""
    uses = np.bincount(np.array(turns, int), minlength=n_classes)
    return int(np.lexsort([rng.random(n_classes), uses])[0])


def keys_after(turn: int, classes: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """The key of each class."""
    return {name: keys[(i + turn) % len(keys)] for i, name in enumerate(classes)}


def planned_trials(
    shown: pd.DataFrame,
    practice: pd.DataFrame,
    *,
    fixation_ms: tuple[float, float],
    n_practice: int,
    block: int,
    seed: int,
    participant: int,
) -> pd.DataFrame:
    """A participant's trials in their order: some to practise, then each image of a set once.

    `shown` are the set's rows of the table of stimuli, `practice` the table of that name; blocks
    count from 1, practice is block 0. Order and fixations are drawn for each participant anew.
    """
    rng = np.random.default_rng([seed, participant, 2])  # apart from that of the order
    first = practice.iloc[rng.permutation(len(practice))[:n_practice]]
    order = order_of_trials(len(shown), seed=seed, participant=participant)
    columns = ["image", "class", "map_type", "share", "stimulus"]
    trials = pd.concat(
        [
            first.assign(map_type="", share=1.0, kind="practice", block=0)[
                [*columns, "kind", "block"]
            ],
            shown.iloc[order][columns].assign(
                kind="trial", block=[1 + i // block for i in range(len(shown))]
            ),
        ],
        ignore_index=True,
    )
    return trials.assign(
        position=range(len(trials)), fixation_ms=rng.uniform(*fixation_ms, len(trials)).round(1)
    )
