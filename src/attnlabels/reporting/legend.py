"""Names and colours of what the figures and the report show, the same in both."""

import numpy as np
from jaxtyping import Float

from attnlabels.metrics.statistics import mean_se

# Okabe and Ito (2008), told apart by any colour vision; a run has one colour in all figures.
RUN_COLOURS = ("#E69F00", "#0072B2", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
TEACHER_COLOUR, PEOPLE_COLOUR, PRIOR_COLOUR = "#009E73", "#000000", "#777777"
SETS = {"imagenet": "ImageNet", "cifar10": "CIFAR-10"}
CORRUPTED = {"imagenet_c": "ImageNet-C", "cifar10_c": "CIFAR-10-C"}
READOUTS = {"as_trained": "as trained", "refitted": "refitted"}
TERMS = {  # columns of the training curves
    "loss": "total loss",
    "contrastive": "contrastive loss",
    "kld": "KLD of attention",
    "nss": "minus NSS of attention",
    "probe": "loss of the linear probe",
}
BINS = np.linspace(-1, 1, 41)  # of CC


def show(name: str) -> str:
    """A key as it is read: without its underscores."""
    return name.replace("_", " ")


def over_seeds(
    by_seed: Float[np.ndarray, "s n"],
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"] | None]:
    """Means and standard errors; None for the errors of a single seed."""
    estimates = [mean_se(column) for column in by_seed.T]
    errors = None if len(by_seed) == 1 else np.array([each.se for each in estimates])
    return np.array([each.mean for each in estimates]), errors
