"""How close a mask is to where people look, on examples that nothing learnt from."""

import numpy as np
from jaxtyping import Float

from attnlabels.metrics.alignment import mean_scores, score_maps
from attnlabels.metrics.saliency import standardised
from attnlabels.tasks.examples import Examples

MEASURES = ("cc", "nss", "sauc")


def closeness(masks: Float[np.ndarray, "n h w"], examples: Examples) -> dict[str, float]:
    """Means over two examples or more of CC, NSS and sAUC; `null_cc` is CC with others' people.

    Of each with all others. What of CC the null has, it owes to where people look anyway.
    """
    n = len(examples)
    means = mean_scores(score_maps([*masks], [*examples.maps], examples.points))
    own, people = (
        np.stack([standardised(each) for each in maps]).reshape(n, -1)
        for maps in (masks, examples.maps)
    )
    pairs = own @ people.T / own.shape[1]
    null = float((pairs.sum() - np.trace(pairs)) / (n * (n - 1)))
    return {**{key: means[key] for key in MEASURES}, "null_cc": null}
