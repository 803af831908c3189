"""One update of a model by the gradient of a loss over the whole batch, however it is cut up."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from attnlabels.processes.precision import DTYPE, Choice, Precision, faster, untouched
from attnlabels.processes.room import Cures, Need, advice, kept_bytes, left_on, require_room
from attnlabels.processes.world import World
from attnlabels.training.batch_norm import frozen_statistics, synchronise

Inputs = Sequence[Tensor]
Forward = Callable[..., Any]  # (model, *inputs) -> a NamedTuple of rows
Loss = Callable[[Any, Inputs], Tensor]  # (the NamedTuple, targets) of the whole batch


class Step:
    """Updates `model`, in which an image's outputs are rows [n, ...] of a NamedTuple.

    A loss may compare any row with any other, as NT-Xent does. Outputs are computed, gathered from
    all processes and given to the loss, in every process the same; each then follows the gradient
    of its own rows back into the model. With `chunks`, the outputs are first computed without what
    their gradient needs, and then, a chunk at a time, once more with it (GradCache, Gao et al.
    2021), so memory is that of a chunk. BN takes its statistics over all processes, but a chunk at
    a time: SimCLR's over the whole batch cannot be had this way.

    With `cures`, the first step counts what its pass will keep, on a few of its own images, and is
    refused if the device's memory cannot hold it.

    With the `precision` "auto", the first step measures on its own images which is faster here, and
    leaves no trace but the choice, which `state_dict` keeps.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        world: World,
        precision: Choice,
        chunks: int = 1,
        cures: Cures | None = None,
    ) -> None:
        self.model, self.optimizer, self.world = model, optimizer, world
        self.chunks, self.cures = chunks, cures
        self.need: Need | None = None  # of a step, once it was counted
        self.asked = self.precision = precision
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=precision == "fp16")
        self.parallel = model
        if world.size > 1:
            synchronise(model, world.device)
            self.parallel = DistributedDataParallel(
                model,
                device_ids=[world.device] if world.device.type == "cuda" else None,
                forward_sync_buffers=False,  # they are equal: statistics are of all processes
            )

    def __call__(self, inputs: Inputs, targets: Inputs, *, forward: Forward, loss: Loss) -> None:
        """One update; `inputs` and `targets` are this process's share of the batch.

        Raises FloatingPointError if a gradient is not finite, except under fp16, where the step is
        left out and the loss scaled less. Raises ValueError if the device's memory is too small.
        """
        if self.cures is None:
            self._update(inputs, targets, forward=forward, loss=loss)
            return
        if self.need is None:
            first = [rows.chunk(self.chunks)[0] for rows in inputs]
            self.need = self._require_room(forward, first)
        try:
            self._update(inputs, targets, forward=forward, loss=loss)
        except torch.OutOfMemoryError as error:
            told = self.need.told(left_on(self.world.device), self.world.device)
            raise ValueError(f"out of memory: {told}; {advice(self.cures(2.0))}") from error

    def _update(self, inputs: Inputs, targets: Inputs, *, forward: Forward, loss: Loss) -> None:
        parts = list(zip(*(rows.chunk(self.chunks) for rows in inputs)))
        if self.precision == "auto":
            self.precision = self._faster(forward, parts[0])
        if self.chunks == 1:
            local = self._outputs(self.parallel, forward, inputs)
        else:
            with torch.no_grad(), frozen_statistics(self.model):
                each = [self._outputs(self.model, forward, part) for part in parts]
            local = type(each[0])(*map(torch.cat, zip(*each)))

        whole = type(local)(*(self.world.gather(rows).requires_grad_() for rows in local))
        value = loss(whole, [self.world.gather(rows) for rows in targets])
        # Scaled here, as the gradient of what is in half precision is rounded to that at once.
        scaled = self.scaler.scale(value)
        # An output that the loss does not read has the gradient 0: DDP waits for all parameters.
        gradients = torch.autograd.grad(scaled, whole, allow_unused=True, materialize_grads=True)
        # DDP takes the mean over processes of what is a sum.
        size, rank = self.world.size, self.world.rank
        own = [each.chunk(size)[rank] * size for each in gradients]

        self.optimizer.zero_grad(set_to_none=True)
        if self.chunks == 1:
            _backward(local, own)
        else:
            pieces = list(zip(*(each.chunk(self.chunks) for each in own)))
            for number, (part, piece) in enumerate(zip(parts, pieces), start=1):
                with self._exchanging(number == self.chunks):
                    _backward(self._outputs(self.parallel, forward, part), piece)
        self.scaler.unscale_(self.optimizer)
        if not self.scaler.is_enabled():
            self._require_finite(whole, gradients)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """What an uninterrupted run knows between two steps."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": self.precision,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.precision = state["precision"]

    def measured(self) -> dict[str, str]:
        """What a result says beside its parameters: the `precision`, if these leave it open."""
        return {"precision": self.precision} if self.asked == "auto" else {}

    def _require_room(self, forward: Forward, inputs: Inputs) -> Need:
        """What a pass needs, which is compared with what is left in every process alike."""
        # With "auto", fp32 is tried before one is chosen.
        precision: Precision = "fp32" if self.precision == "auto" else self.precision

        def kept(n: int) -> tuple[int, int]:
            few = [rows[:n] for rows in inputs]
            size = kept_bytes(lambda: self._outputs(self.model, forward, few, precision=precision))
            return sum(map(len, few)), size

        with untouched(self.model, self.world.device), torch.compiler.set_stance("force_eager"):
            (few, small), (more, large) = kept(2), kept(4)
        weights = sum(each.nbytes for each in self.model.parameters())
        # The weights are kept too, but once.
        each = (large - small) / (more - few) if more > few else max(0, small - weights) / few
        images = sum(map(len, inputs))
        # Beside the weights that are there: their gradient and what the optimizer keeps.
        need = Need(images=images, each=each, beside=2 * weights)
        left = left_on(self.world.device)
        if self.world.total(float(need.times(left) > 1)):
            assert self.cures is not None
            require_room(need, left, self.world.device, self.cures)
            raise ValueError("another process has too little memory for a step; it says what to do")
        return need

    def _faster(self, forward: Forward, inputs: Inputs) -> Precision:
        parameters = [each for each in self.model.parameters() if each.requires_grad]

        def trial(precision: Precision, share: float) -> None:
            few = [rows[: max(2, round(share * len(rows)))] for rows in inputs]
            outputs = self._outputs(self.model, forward, few, precision=precision)
            rows = [each for each in outputs if each.requires_grad]
            ones = [torch.ones_like(each) for each in rows]
            # Not backward(): that would leave gradients, and have DDP exchange them.
            torch.autograd.grad(rows, parameters, ones, allow_unused=True)

        with untouched(self.model, self.world.device):
            return faster(trial, world=self.world)

    def _outputs(
        self,
        model: nn.Module,
        forward: Forward,
        inputs: Inputs,
        *,
        precision: Precision | None = None,
    ) -> Any:
        dtype = DTYPE[precision or self.precision]
        with torch.autocast(self.world.device.type, dtype, enabled=dtype is not None):
            return forward(model, *inputs)

    def _exchanging(self, now: bool) -> AbstractContextManager[Any]:
        """In this block DDP exchanges gradients, or leaves them to add up."""
        if now or not isinstance(self.parallel, DistributedDataParallel):
            return nullcontext()
        return self.parallel.no_sync()

    def _require_finite(self, whole: Any, gradients: Sequence[Tensor]) -> None:
        of = {
            name: each.grad for name, each in self.model.named_parameters() if each.grad is not None
        }
        if torch.nn.utils.get_total_norm(of.values()).isfinite():
            return
        by = [name for name, each in zip(whole._fields, gradients) if not each.isfinite().all()]
        at = [name for name, each in of.items() if not each.isfinite().all()]
        what = f"of the loss by {', '.join(by)}" if by else f"of {at[-1]}"
        raise FloatingPointError(f"the gradient {what} is not finite")


def _backward(outputs: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Into the model; outputs that are cut off from it, as a baseline's mask is, are left out."""
    pairs = [(each, grad) for each, grad in zip(outputs, gradients) if each.requires_grad]
    torch.autograd.backward([each for each, _ in pairs], [grad for _, grad in pairs])


def set_determinism(wanted: bool) -> None:
    """On a GPU, the same bits at every run and slower, or the fastest convolutions. CPUs repeat."""
    torch.backends.cudnn.benchmark = not wanted
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted)
