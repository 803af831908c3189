"""The training of encoders on labelled shards: what their methods share (paper §3.3, §4.1, §4.3).

A method is a script: its network, whose parts are an `encoder`, an `attention` and a `probe` and
whichever others it has, the parts of a batch that it is shown, and the weights of its terms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from attnlabels.losses.objective import Targets, objective
from attnlabels.models.attention_head import Output, Select
from attnlabels.models.encoder import Stem, Taps
from attnlabels.models.files import write_weights
from attnlabels.pipeline.params import part
from attnlabels.pipeline.places import settle
from attnlabels.pipeline.writing import replacing, write_metrics, write_rows
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.precision import Choice
from attnlabels.processes.room import Shares
from attnlabels.processes.world import World, joined
from attnlabels.shards.labelled_squares import Squares
from attnlabels.training.loop import Batch, Loop, fit
from attnlabels.training.loop import Row as Epoch
from attnlabels.training.optimizers import Optimizer, build_optimizer
from attnlabels.training.probe import score_probe
from attnlabels.training.samples import Recorded, Views
from attnlabels.training.step import Forward, Step, set_determinism

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]
# Channels of a ResNet's first convolution. Of fewer than eight, the gradient of its first strided
# 1 x 1 convolution ends the process where AVX2 is all there is (torch 2.14, oneDNN 3.12).
Width = Annotated[int, Field(ge=8)]

# (outputs, targets, share of the training that is behind) -> the total, and what it is made of
Loss = Callable[[Any, Mapping[str, Tensor], float], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What all runs of a method share, whichever it is; params.yaml says what each value is."""

    width: Width
    stem: Stem
    zero_init: bool
    image_size: Count
    attention_taps: Taps
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    warmup_epochs: NotNegative
    optimizer: Optimizer
    learning_rate: Positive
    attention_learning_rate: Positive
    weight_decay: NotNegative
    clean_crop: Annotated[float, Field(gt=0, le=1)]
    eval_crop: Annotated[float, Field(gt=0, le=1)]
    crop_area: tuple[Share, Share]
    development: Annotated[float, Field(ge=0, lt=1)]
    precision: Choice
    processes: Count  # which the stage starts; the training takes the world as it is
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative
    checkpoint_steps: Annotated[int, Field(ge=0)]
    compile: bool
    deterministic: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a run of any method has of its own; its row in a table of params.yaml."""

    labels: str
    attention_select: Select
    attention_output: Output
    map_size: Count
    joint_batch_norm: bool
    stop_gradient: bool
    weights: dict[str, NotNegative]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of a method: what list_runs wrote of it, its parameters, and where results go.

    `code` is what `attnlabels.pipeline.code.code_of` says of the script, `config` what a later
    stage needs to build the network again, and `outputs` are its weights, its curve and its report,
    which says that `threads` were taken.
    """

    method: str
    name: str
    listed: Path
    seed: int
    recipe: Recipe
    row: Row
    code: Mapping[str, str]
    config: Mapping[str, Any]
    outputs: tuple[Path, Path, Path]
    threads: int

    def mark(self, folders: Iterable[Path]) -> str:
        """What its state is kept under; changes with parameters, code and the shards' `folders`."""
        made_of = [vars(self.recipe), vars(self.row), self.seed, self.code]
        # the run's file tells its block's code
        files = [self.listed, *(folder / "index.json" for folder in folders)]
        return f"{self.method}-{fingerprint(made_of, files)}"


class Training:
    """A network with its optimizer and its loss, one update at a time.

    `inputs` and `targets` name the parts of a batch that `forward` and `loss` are given, the
    targets by their names; `loss` returns the total and the terms it is made of. `after` is called
    after each update with the share of the training that was behind it.
    """

    def __init__(
        self,
        update: Step,
        *,
        inputs: Sequence[str],
        targets: Sequence[str],
        forward: Forward,
        loss: Loss,
        after: Callable[[float], None] = lambda progress: None,
    ) -> None:
        self.update, self.inputs, self.targets = update, inputs, targets
        self.forward, self.loss, self.after = forward, loss, after

    def step(self, batch: Batch, *, rate: float, progress: float) -> dict[str, float]:
        """One update at `rate` times each group's learning rate; the loss and its terms.

        `batch` is this process's share, the loss that of the whole. Raises FloatingPointError if
        a term or a gradient is not finite.
        """
        values: dict[str, Tensor] = {}

        def loss(outputs: Any, rows: Sequence[Tensor]) -> Tensor:
            total, terms = self.loss(outputs, dict(zip(self.targets, rows)), progress)
            values.update({"loss": total, **terms})
            return total

        self.update.model.train()
        for group in self.update.optimizer.param_groups:
            group["lr"] = group["base"] * rate
        images = [batch[key] for key in self.inputs]
        targets = [batch[key] for key in self.targets]
        self.update(images, targets, forward=self.forward, loss=loss)
        self.after(progress)
        # One transfer: each makes a GPU wait.
        numbers = torch.stack([value.detach().float() for value in values.values()]).tolist()
        return dict(zip(values, numbers))

    def end_epoch(self, means: dict[str, float], *, epoch: int, step: int) -> Epoch:
        """The epoch's row of the curve: the last learning rate, and the mean losses."""
        rate = self.update.optimizer.param_groups[0]["lr"]
        return {"epoch": epoch, "step": step, "lr": rate, **means}

    def state_dict(self) -> dict[str, Any]:
        """What an uninterrupted run knows between two steps."""
        return self.update.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.update.load_state_dict(state)


def on_device(
    network: nn.Module, p: Recipe, *, learning_rate: float, world: World, shares: Shares
) -> Step:
    """The updates of a network, which is moved to this process's device for them."""
    network.to(world.device).to(memory_format=torch.channels_last)
    if p.compile:
        network.get_submodule("encoder").compile()
    optimizer = build_optimizer(
        p.optimizer,
        network,
        learning_rate=learning_rate,
        attention_learning_rate=p.attention_learning_rate,
        weight_decay=p.weight_decay,
    )
    return Step(
        network,
        optimizer,
        world=world,
        precision=p.precision,
        chunks=shares.chunks or 1,
        cures=shares.cures,
    )


def weigh(
    weights: Mapping[str, float],
    *,
    temperature: float | None = None,
    watched: Callable[[Any], dict[str, Tensor]] = lambda outputs: {},
    ramps: Mapping[str, float] | None = None,
) -> Loss:
    """The loss that `weights` names the terms of; `watched` numbers are reported beside these.

    The weight of a term in `ramps` rises from 0 to its own over that share of the training, as a
    straight line.
    """

    def at(progress: float) -> Mapping[str, float]:
        rising = {name: share for name, share in (ramps or {}).items() if progress < share}
        return {**weights, **{each: weights[each] * progress / rising[each] for each in rising}}

    def loss(
        outputs: Any, rows: Mapping[str, Tensor], progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        maps, fixations = rows.get("map"), rows.get("fixations")
        targets = Targets(rows["label"], maps, fixations, temperature, rows.get("map0"))
        total, terms = objective(outputs, targets, weights=at(progress))
        return total, terms | watched(outputs)

    return loss


def train(
    run: Run,
    build: Callable[[World], Training],
    views: Views,
    squares: Squares,
    *,
    summarise: Callable[[list[Epoch], float], dict[str, Any]],
    beside: tuple[Recorded, int] | None = None,
    watch: Callable[[Epoch], str] = lambda epoch: "",
) -> None:
    """Train what `build` makes, score its probe on `squares`, and write the run's outputs.

    These are the weights, with the config beside them, the curve, a row of mean losses an epoch,
    and the report, which `summarise` makes of that and of the top-1 accuracy. Its state is kept
    until they are written. `beside`: other images, and how many of them join each batch with their
    clean parts. `watch` says of an epoch's row what is wrong with it, or "".
    """
    settle(*run.outputs)
    p, folders = run.recipe, [views.samples.folder]
    mark = run.mark([*folders, beside[0].samples.folder] if beside else folders)
    with joined() as world:
        world.agree("the training", mark)
        set_determinism(p.deterministic)
        torch.manual_seed(run.seed)
        training, scratch = build(world), Scratch(mark)
        history = fit(
            training,
            views,
            part(Loop, p),
            seed=run.seed,
            scratch=scratch,
            world=world,
            title=f"{run.name} {run.seed}",
            beside=beside,
            watch=watch,
        )
        network = training.update.model
        top1 = score_probe(network, squares, workers=p.workers, world=world)
        if not world.first:
            return
        weights, curve, report = run.outputs
        measured = training.update.measured()
        about = {**run.config, **measured, "seed": run.seed, "run": run.name}
        with replacing(weights) as aside:
            write_weights(aside, network, about)
        write_rows(curve, history, columns=list(history[0]))
        write_metrics(report, summarise(history, top1), threads=run.threads, **measured)
        scratch.clear()


def encoder_config(
    p: Recipe, row: Row, *, backbone: str, block: str, source: str, **more: Any
) -> dict[str, Any]:
    """What a later stage needs to build an encoder and its attention again, and to feed them."""
    return {
        "encoder": {
            "backbone": backbone,
            "width": p.width,
            "stem": p.stem,
            "taps": p.attention_taps,
            "zero_init": p.zero_init,
            "block": block,
        },
        "attention": {
            "source": source,
            "select": row.attention_select,
            "output": row.attention_output,
            "size": row.map_size,
        },
        **more,
        "image_size": p.image_size,
        "clean_crop": p.clean_crop,
        "eval_crop": p.eval_crop,
    }


def summary(row: Row, history: list[Epoch]) -> dict[str, Any]:
    """The last epoch's losses, and how many steps there were."""
    last = history[-1]
    return {"loss": {key: last[key] for key in ("loss", *row.weights)}, "steps": last["step"]}


def probed(p: Recipe, top1: float) -> dict[str, Any]:
    """The score, by whose images it was: those held out of training are named so."""
    return {"probe": {"development_top1" if p.development else "top1": top1}}
