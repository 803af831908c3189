"""ContraCAM: what in an image tells it from others, to a contrastive encoder (paper Table 1).

Mo et al., NeurIPS 2021: Grad-CAM of a contrastive score. For image n of a batch, with the last
stage's maps F [c, i, j], the projector g and the unit projections k of all images as constants:

    q    =  g(mean_ij F) / |g(mean_ij F)|
    s    =  q · k_n  -  log Σ_{m ≠ n} exp(q · k_m)        no temperature
    α_c  =  ReLU(mean_ij ∂s / ∂F_c)
    CAM  =  ReLU(Σ_c α_c F_c), divided by its maximum

Source: alinlab/object-aware-contrastive utils/gradcam.py, its first iteration. Two of its oddities
are not kept, as they change no more than an image's scale there: the positive term is summed over
the batch, and an image counts itself among its negatives, with a product of 0.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Project = Callable[[Tensor], Tensor]  # features [n, c] to projections [n, d] of any length


def queries(stage: Float[Tensor, "n c i j"], project: Project) -> Float[Tensor, "n d"]:
    """The unit projections of images; of a whole batch, gathered, they are its negatives."""
    with torch.autocast(stage.device.type, enabled=False):
        return _query(_at_least_float32(stage).mean(dim=(2, 3)), project)


def contracam(
    stage: Float[Tensor, "n c i j"],
    project: Project,
    *,
    negatives: Float[Tensor, "g d"],
    own: slice,
    second_order: bool,
) -> Float[Tensor, "n i j"]:
    """Maps of images whose last stage is given: 0 to 1, each map's largest value 1.

    `negatives` are `queries` of the whole batch, of all processes, and `own` where among them
    these n are. They are held constant. `project` has to keep images apart, as a projector in
    evaluation does: through statistics of the batch, an image's score would be the others' too.
    Half precision is computed in single.

    Paper: says no more than that ContraCAM takes the head's place. ContraCAM's code subtracts an
    image's minimum too, and has no gradient. Here one flows into the stage through F_c, with α
    constant; by `second_order` also through α, into the stage and into `project`'s parameters.

    An image in which no channel tells it from the others has the map 0 everywhere. To
    `losses.attention` that is a finite loss without a gradient; who divides by a map's sum, or
    writes it as a label, sees to it first.

    Raises ValueError if there is no other image to tell one from, or `own` is not of n.
    """
    if len(negatives) < 2:
        raise ValueError(
            f"ContraCAM tells an image from others, and the batch has {len(negatives)}; take "
            "batches of at least 2"
        )
    if len(range(len(negatives))[own]) != len(stage):
        raise ValueError(f"{own} of {len(negatives)} negatives are not these {len(stage)} images")
    differentiate = second_order and torch.is_grad_enabled()
    with torch.autocast(stage.device.type, enabled=False):
        stage = _at_least_float32(stage)
        keys = negatives.detach().to(stage.dtype)
        with torch.enable_grad():
            # The score sees a channel by its mean alone, so ∂s/∂F is the same at each pixel: the
            # derivative by that mean over their number, a scale that the maximum divides away.
            means = stage.mean(dim=(2, 3))
            if not (differentiate and means.requires_grad):
                means = means.detach().requires_grad_()
            total = _scores(_query(means, project), keys, own).sum()  # an image's mean is in one
            (slope,) = torch.autograd.grad(total, means, create_graph=differentiate)
        cam = torch.einsum("nc,ncij->nij", slope.relu(), stage).relu()
        # Slopes may be of any size, and the losses' epsilons are of maps of about 1.
        top = cam.amax(dim=(1, 2), keepdim=True)
        return cam / torch.where(top > 0, top, 1)


def _query(means: Float[Tensor, "n c"], project: Project) -> Float[Tensor, "n d"]:
    return F.normalize(project(means), dim=1)


def _scores(q: Float[Tensor, "n d"], keys: Float[Tensor, "g d"], own: slice) -> Float[Tensor, "n"]:
    # The product with the own key has no slope, as both are one unit vector, but a curvature.
    products = q @ keys.T
    selves = torch.eye(len(keys), dtype=torch.bool, device=q.device)[own]
    return products[selves] - products.masked_fill(selves, -torch.inf).logsumexp(dim=1)


def _at_least_float32(stage: Tensor) -> Tensor:
    return stage.to(torch.promote_types(stage.dtype, torch.float32))
