"""The four parameters of the paper's attention head, fitted to convergence."""

import logging
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.losses.attention import kld, nss
from attnlabels.models.attention_head import AttentionHead

log = logging.getLogger(__name__)


def fit_head(
    head: AttentionHead,
    selected: Float[Tensor, "n s s 3"],
    targets: Float[Tensor, "n s s"],
    counts: Float[Tensor, "n s s"],
    *,
    steps: int,
    kld_weight: float,
    nss_weight: float,
) -> dict[str, float]:
    """Fit `head` to where people or a teacher look, by the loss λ·KLD - β·NSS.

    `selected` are the stages' maps that it weighs, `targets` the densities and `counts` the
    fixations of the same images. Returns the loss before and after; where the fit ends at the limit
    of `steps`, the log says so, and there is a `converged` that is false.
    """

    def loss() -> Tensor:
        predicted = head.read(selected)
        return (
            kld_weight * kld(predicted, targets).mean() - nss_weight * nss(predicted, counts).mean()
        )

    before = float(loss().detach())
    converged = minimise(loss, head, steps=steps)
    found: dict[str, float] = {"loss_before": before, "loss_after": float(loss().detach())}
    if not converged:
        log.warning("the readout was still changing after %d steps of its refit", steps)
        found["converged"] = False
    return found


def minimise(loss: Callable[[], Tensor], readout: nn.Module, *, steps: int) -> bool:
    """Fit the readout by L-BFGS; whether that ended within the limits of its steps."""
    optimizer = torch.optim.LBFGS(
        readout.parameters(), max_iter=steps, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss()
        total.backward()
        return total.detach()

    optimizer.step(closure)
    (settings,), state = optimizer.param_groups, optimizer.state[next(readout.parameters())]
    return bool(state["n_iter"] < steps and state["func_evals"] < settings["max_eval"])
