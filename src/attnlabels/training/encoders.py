"""What the trainings of encoders share: views of labelled shards, updates, the loop, the score."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.images.crops import centre_box, count_points, crop_map
from attnlabels.images.decoding import decode, decode_reduced, reduction
from attnlabels.images.folder import Manifest
from attnlabels.images.squares import resize_centre_crop, resize_square
from attnlabels.models.encoder import features
from attnlabels.models.files import write_weights
from attnlabels.pipeline.writing import replacing, write_json, write_rows
from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.loading import as_input, start_worker
from attnlabels.processes.resumable import Resumable
from attnlabels.processes.world import World, joined
from attnlabels.shards.labelled_squares import Squares
from attnlabels.shards.shards import Sample, Shards
from attnlabels.training.lars import Lars
from attnlabels.training.order import Batches
from attnlabels.training.schedule import warmup_cosine
from attnlabels.training.step import Forward, Step, set_determinism
from attnlabels.training.views import Drawn, crop, draw_view, view

IMAGES = ("view0", "view1", "clean")  # the parts of a batch that are images
Batch = dict[str, Tensor]
TermedLoss = Callable[[Any, Sequence[Tensor]], tuple[Tensor, dict[str, Tensor]]]
Optimizer = Literal["lars", "sgd", "adamw"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is random in a view; see `attnlabels.training.views.draw_view`."""

    area: tuple[float, float]
    jittered: float
    strength: float
    hue: float
    grey: float
    blurred: float


@dataclass(frozen=True, kw_only=True)
class Clean:
    """How an image is shown that is attended to: the sides of image and map, in pixels.

    `crop` is the central share of the shorter side, 1 the whole image (A6).
    """

    image_size: int
    map_size: int
    crop: float

    def parts(self, sample: Sample, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, np.ndarray]:
        """The image, its map and how many points fall on each of the map's pixels."""
        box, size = centre_box(*sample["image_size"], self.crop), (self.map_size, self.map_size)
        return {
            "clean": resize_centre_crop(image, size=self.image_size, crop=self.crop),
            "map": crop_map(sample["map"], box, size=size),
            "fixations": count_points(sample["points"], grid=sample["grid"], box=box, size=size),
        }


class Views(Dataset[dict[str, Any]]):
    """`n_views` of each image, its label, and its clean parts if any; named (epoch, index).

    Images are uint8 [h, w, 3]. The draws depend on (seed, epoch, index) alone, so they are the
    same in whichever process and after whichever interruption a sample is made. `chosen` are the
    numbers of the samples that there are to train on.
    """

    def __init__(
        self,
        samples: Shards,
        chosen: Int[np.ndarray, "n"],
        *,
        n_views: int,
        augmentation: Augmentation,
        image_size: int,
        clean: Clean | None,
        seed: int,
    ) -> None:
        self.samples, self.chosen, self.n_views, self.seed = samples, chosen, n_views, seed
        self.augmentation, self.image_size, self.clean = augmentation, image_size, clean

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        epoch, index = item[0], int(self.chosen[item[1]])
        sample = self.samples[index]
        height, width = sample["image_size"]
        rng = np.random.default_rng([self.seed, epoch, index])
        drawn = [
            draw_view(height, width, rng=rng, **vars(self.augmentation))
            for _ in range(self.n_views)
        ]
        # Paper: a JPEG of which every part that is used shrinks to a half or less is decoded at
        # 1/2, 1/4 or 1/8: the same crops, from pixels that differ by some grey levels.
        whole = [int(self.clean.crop * min(height, width))] if self.clean else []
        side = min(*whole, *(side for each in drawn for side in each.box[2:]))
        times = reduction(sample["image"], side=side, size=self.image_size)
        image = decode_reduced(
            sample["image"],
            size=(height, width),
            reduction=times,
            name=f"{self.samples.folder}: {sample['key']}",
        )
        return {
            **{
                f"view{i}": make_view(image, each, size=self.image_size, reduction=times)
                for i, each in enumerate(drawn)
            },
            **(self.clean.parts(sample, image) if self.clean else {}),
            "label": sample["label"],
            "index": index,
        }


def make_view(
    image: UInt8[np.ndarray, "h w 3"], drawn: Drawn, *, size: int, reduction: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The view that was drawn, of the image decoded at a `reduction`-th of its size."""
    # Paper: SimCLR's bicubic is not antialiased and skips pixels where it shrinks. Torchvision, in
    # PyTorch's SimCLRs, antialiases, and so do we, here as in the clean view.
    return view(resize_square(crop(image, drawn.box, reduction=reduction), size=size), drawn)


class Recorded(Dataset[dict[str, Any]]):
    """The clean parts of images and people's recordings of them; named (epoch, index)."""

    def __init__(self, samples: Shards, clean: Clean) -> None:
        self.samples, self.clean = samples, clean

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        sample = self.samples[item[1]]
        name = f"{self.samples.folder}: {sample['key']}"
        return self.clean.parts(sample, decode(sample["image"], name=name))


def require_same_classes(samples: Shards, listed: Manifest, *, manifest: Path) -> None:
    """Raises ValueError unless the labelled and the listed images are of the same classes."""
    if listed.classes != samples.classes:
        raise ValueError(
            f"{manifest} lists {len(listed.classes)} classes and {samples.folder} labels "
            f"{len(samples.classes)}, or others; the probe needs the same class folders in both"
        )


def encoder_config(
    section: Any, row: Any, *, backbone: str, block: str, source: str, **more: Any
) -> dict[str, Any]:
    """What a later stage needs to build an encoder and its attention again, and to feed them.

    `section` and `row` are a training's parameters, which have keys of these names.
    """
    return {
        "encoder": {
            "backbone": backbone,
            "width": section.width,
            "stem": section.stem,
            "taps": section.attention_taps,
            "zero_init": section.zero_init,
            "block": block,
        },
        "attention": {
            "source": source,
            "select": row.attention_select,
            "output": row.attention_output,
            "size": row.map_size,
        },
        **more,
        "image_size": section.image_size,
        "clean_crop": section.clean_crop,
        "eval_crop": section.eval_crop,
    }


def hold_out(n: int, share: float) -> tuple[Int[np.ndarray, "a"], Int[np.ndarray, "b"]]:
    """The numbers below `n` to train on, in order, and those held out for choosing (§4.1).

    They are the same for every run and seed, so that choices are made on the same images.
    """
    order = np.random.default_rng(0).permutation(n)
    n_held = round(share * n)
    return np.sort(order[n_held:]), np.sort(order[:n_held])


def build_optimizer(
    name: Optimizer,
    trained: Iterable[nn.Module],
    probe: nn.Linear,
    attention: nn.Module,
    *,
    learning_rate: float,
    attention_learning_rate: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Kernels decay and, under LARS, adapt; gains and biases do neither.

    So does SimCLR (lars_optimizer.py). The probe's kernel decays but does not adapt. The few
    parameters of the attention, where it has any, have a rate of their own,
    `attention_learning_rate` times the others' (A12). SGD has Nesterov's momentum of 0.9.
    """
    own = [each for part in trained for each in part.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": [each for each in own if each.ndim > 1], "adapt": True, "decays": True},
        {"params": [probe.weight], "adapt": False, "decays": True},
        {
            "params": [each for each in own if each.ndim == 1 and each.requires_grad]
            + [probe.bias],
            "adapt": False,
            "decays": False,
        },
        {
            "params": list(attention.parameters()),
            "adapt": False,
            "decays": False,
            "rate": attention_learning_rate,
        },
    ]
    groups = [group for group in groups if group["params"]]
    for group in groups:
        group["base"] = group["lr"] = learning_rate * group.pop("rate", 1.0)
        group["weight_decay"] = weight_decay if group.pop("decays") else 0.0
        if name != "lars":
            group.pop("adapt")
    if name == "lars":
        momentum, trust = 0.9, 1e-3
        return Lars(
            groups, lr=learning_rate, momentum=momentum, weight_decay=0.0, trust_coefficient=trust
        )
    if name == "sgd":
        return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=learning_rate)


class Training:
    """A network with its optimizer and its loss, one update at a time.

    `inputs` and `targets` name the parts of a batch that `forward` and `loss` are given; `loss`
    returns the total and the terms it is made of.
    """

    def __init__(
        self,
        update: Step,
        *,
        inputs: Sequence[str],
        targets: Sequence[str],
        forward: Forward,
        loss: TermedLoss,
    ) -> None:
        self.update, self.inputs, self.targets = update, inputs, targets
        self.forward, self.loss = forward, loss

    def step(self, batch: Batch, *, rate: float) -> dict[str, float]:
        """One update at `rate` times each group's learning rate; the loss and its terms.

        `batch` is this process's share, the loss that of the whole. Raises FloatingPointError if
        a term or a gradient is not finite.
        """
        values: dict[str, Tensor] = {}

        def loss(outputs: Any, rows: Sequence[Tensor]) -> Tensor:
            total, terms = self.loss(outputs, rows)
            values.update({"loss": total, **terms})
            return total

        for group in self.update.optimizer.param_groups:
            group["lr"] = group["base"] * rate
        images = [batch[key] for key in self.inputs]
        targets = [batch[key] for key in self.targets]
        self.update(images, targets, forward=self.forward, loss=loss)
        # One transfer: each makes a GPU wait.
        numbers = torch.stack([value.detach().float() for value in values.values()]).tolist()
        return dict(zip(values, numbers))


@dataclass(frozen=True, kw_only=True)
class Loop:
    """How long a training lasts, and how often its state is kept."""

    batch_size: int
    epochs: int
    warmup_epochs: float
    workers: int
    checkpoint_minutes: float
    checkpoint_steps: int
    deterministic: bool

    @classmethod
    def of(cls, section: Any) -> "Loop":
        """That of a section of params.yaml, which has keys of these names."""
        return cls(**{each.name: getattr(section, each.name) for each in fields(cls)})


def train(
    build: Callable[[World], Training],
    views: Views,
    squares: Squares,
    loop: Loop,
    *,
    mark: str,
    run: str,
    seed: int,
    config: Mapping[str, Any],
    outputs: tuple[Path, Path, Path],
    summarise: Callable[[list[dict[str, Any]], float], dict[str, Any]],
    beside: tuple[Recorded, int] | None = None,
    watch: Callable[[dict[str, Any]], str] = lambda epoch: "",
) -> None:
    """Train what `build` makes, score its probe on `squares`, and write the `outputs`.

    These are the weights, with `config` beside them, the curve, one row of mean losses an epoch,
    and the report, which `summarise` makes of that and of the top-1 accuracy. `mark` names the
    training: its state is kept under that name until they are written. `beside`: other images,
    and how many of them join each batch with their clean parts. `watch` says of an epoch's row
    what is wrong with it, or "".
    """
    with joined() as world:
        world.agree("the training", mark)
        set_determinism(loop.deterministic)
        torch.manual_seed(seed)
        training, scratch = build(world), Scratch(mark)
        history = fit(
            training,
            views,
            loop,
            beside=beside,
            seed=seed,
            scratch=scratch,
            world=world,
            title=f"{run} {seed}",
            watch=watch,
        )
        network = training.update.model
        top1 = score_probe(network, squares, workers=loop.workers, world=world)
        if not world.first:
            return
        weights, curve, report = outputs
        with replacing(weights) as aside:
            write_weights(aside, network, {**config, "seed": seed, "run": run})
        write_rows(curve, history, columns=list(history[0]))
        write_json(report, summarise(history, top1))
        scratch.clear()


def fit(
    training: Training,
    views: Views,
    loop: Loop,
    *,
    beside: tuple[Recorded, int] | None,
    seed: int,
    scratch: Scratch,
    world: World,
    title: str,
    watch: Callable[[dict[str, Any]], str],
) -> list[dict[str, Any]]:
    """Train to the last step, from wherever `scratch` has it; returns a row an epoch.

    The images `beside` are in an order and in epochs of their own.
    """
    step, history, sums = 0, [], {}
    update = training.update
    with Resumable(
        scratch, world, minutes=loop.checkpoint_minutes, steps=loop.checkpoint_steps
    ) as kept:
        if state := kept.read():
            update.load_state_dict(state)
            step, history, sums = state["step"], state["history"], state["sums"]
        share = {"seed": seed, "start": step, "rank": world.rank, "size": world.size}
        batches = Batches(len(views), batch_size=loop.batch_size, epochs=loop.epochs, **share)
        warmup_steps = round(loop.warmup_epochs * batches.steps_per_epoch)
        loaded = load_batches(views, batches, workers=loop.workers, device=world.device)
        if beside:
            recorded, n = beside
            if len(recorded) < n:
                raise ValueError(
                    f"{recorded.samples.folder} has {len(recorded)} images and {n} are to join "
                    "each batch; lower cotrain.images of the run"
                )
            epochs = -(-batches.total // (len(recorded) // n))
            others = Batches(len(recorded), batch_size=n, epochs=epochs, **share)
            more = load_batches(recorded, others, workers=loop.workers, device=world.device)
            loaded = ({**own, **other} for own, other in zip(loaded, more))

        def everything() -> dict[str, Any]:
            return {**update.state_dict(), "history": history, "sums": sums}

        update.model.train()
        quiet = None if world.first else True
        with tqdm(desc=title, total=batches.total, initial=step, disable=quiet) as progress:
            for batch in loaded:
                factor = warmup_cosine(step, warmup_steps=warmup_steps, total_steps=batches.total)
                try:
                    terms = training.step(batch, rate=factor)
                except FloatingPointError as error:
                    keys = [views.samples[i]["key"] for i in batch["index"][:5].tolist()]
                    raise ValueError(
                        f"step {step}: {error}; the batch begins with {', '.join(keys)}; look at "
                        "these images, lower learning_rate or use fp32"
                    ) from error
                step += 1
                for key, value in terms.items():
                    sums[key] = sums.get(key, 0.0) + value / batches.steps_per_epoch
                if step % batches.steps_per_epoch == 0:
                    epoch = step // batches.steps_per_epoch
                    rate = update.optimizer.param_groups[0]["lr"]
                    history.append({"epoch": epoch, "step": step, "lr": rate, **sums})
                    progress.set_postfix({key: f"{value:.3f}" for key, value in sums.items()})
                    sums = {}
                    if world.first and (why := watch(history[-1])):
                        tqdm.write(f"warning: epoch {epoch}: {why}", file=sys.stderr)
                progress.update()
                kept.done(step, everything)
        kept.save(step, everything)  # what follows may still fail, and would cost the run
    return history


def load_batches(
    samples: Dataset[dict[str, Any]], batches: Batches, *, workers: int, device: torch.device
) -> Iterator[Batch]:
    """Batches on the device; images become float [n, 3, h, w] in [0, 1], channels last."""
    loader: DataLoader[Any] = DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=start_worker,
    )
    for batch in loader:
        moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        yield {key: as_input(rows) if key in IMAGES else rows for key, rows in moved.items()}


@torch.no_grad()
def score_probe(network: Any, squares: Squares, *, workers: int, world: World) -> float:
    """Top-1 accuracy of `network.probe` on its encoder's features, shared among the processes."""
    network.eval()
    n = len(squares)
    loader: DataLoader[Any] = DataLoader(
        squares,
        batch_size=256,
        sampler=range(world.rank, n, world.size),
        num_workers=workers,
        worker_init_fn=start_worker,
    )
    hits, seen = 0, 0
    quiet = None if world.first else True
    for images, labels in tqdm(loader, desc="probe", disable=quiet):
        logits = network.probe(features(network.encoder(as_input(images.to(world.device)))))
        hits += int((logits.argmax(dim=1).cpu() == labels).sum())
        seen += len(labels)
    assert world.total(seen) == n  # each image once
    return world.total(hits) / n
