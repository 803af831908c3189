"""How close a mask is to where people look, on examples that nothing learnt from."""

import numpy as np
from jaxtyping import Float

from attnlabels.metrics.alignment import mean_scores, score_maps
from attnlabels.metrics.saliency import cc
from attnlabels.tasks.examples import Examples, derangement

MEASURES = ("cc", "nss", "sauc")


def closeness(
    masks: Float[np.ndarray, "n h w"], examples: Examples, *, seed: int
) -> dict[str, float]:
    """Means over examples of CC, NSS and sAUC; `null_cc` is CC with other examples' people.

    What of CC the null has, it owes to where people look anyway.
    """
    means = mean_scores(score_maps([*masks], [*examples.maps], examples.points))
    others = examples.maps[derangement(len(examples), seed=seed)]
    null = float(np.mean([cc(mask, other) for mask, other in zip(masks, others)]))
    return {**{key: means[key] for key in MEASURES}, "null_cc": null}
