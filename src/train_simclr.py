"""Train SimCLR with an attention head on labelled shards (paper §3.3, §4.1; SimCLR repository).

    python src/train_simclr.py TABLE RUN SEED SHARDS IMAGES MANIFEST WEIGHTS CURVE REPORT

TABLE and RUN name the run's row in params.yaml, SHARDS its attention labels, IMAGES and MANIFEST
the validation images that the concurrent probe is scored on. A run that was killed goes on where
it was, to the same weights. The last epoch is reported.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.datasets.crops import centre_box, count_points, crop_map
from attnlabels.datasets.image_folder import Manifest, read_manifest
from attnlabels.datasets.images import decode_reduced, read_image, reduction
from attnlabels.datasets.shards import Shards
from attnlabels.datasets.squares import resize_centre_crop
from attnlabels.launch import launch
from attnlabels.models.attention_head import AttentionHead, Output, Select
from attnlabels.models.encoder import Backbone, Encoder, Stem, Taps, features
from attnlabels.models.files import write_weights
from attnlabels.models.projector import projector
from attnlabels.models.student import Outputs, Student
from attnlabels.objective import Targets, objective
from attnlabels.params import load, record
from attnlabels.report import replacing, write_json, write_rows
from attnlabels.script import run
from attnlabels.training.checkpoint import Scratch, fingerprint
from attnlabels.training.lars import Lars
from attnlabels.training.loading import as_input, start_worker
from attnlabels.training.order import Batches
from attnlabels.training.processes import World, joined
from attnlabels.training.resumable import Resumable
from attnlabels.training.schedule import warmup_cosine
from attnlabels.training.step import Precision, Step, set_determinism
from attnlabels.training.views import draw_view, view

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


@record
class TrainSimclr:
    """What all runs share; the section `train_simclr` of params.yaml."""

    backbone: Backbone
    width: Count
    stem: Stem
    zero_init: bool
    image_size: Count
    attention_taps: Taps
    attention_select: Select
    attention_output: Output
    map_size: Count
    projector_layers: Annotated[int, Field(ge=2, le=4)]
    projector_outputs: Count
    temperature: Positive
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    warmup_epochs: NotNegative
    optimizer: Literal["lars", "sgd", "adamw"]
    learning_rate: Positive
    learning_rate_scaling: Literal["none", "sqrt", "linear"]
    attention_learning_rate: Positive
    weight_decay: NotNegative
    joint_batch_norm: bool
    clean_crop: Annotated[float, Field(gt=0, le=1)]
    eval_crop: Annotated[float, Field(gt=0, le=1)]
    crop_area: tuple[Share, Share]
    jitter_strength: NotNegative
    jitter_hue: Annotated[float, Field(ge=0, le=0.5)]
    grey: Share
    blur: Share
    precision: Precision
    processes: Count
    chunks: Count
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative
    checkpoint_steps: Annotated[int, Field(ge=0)]
    compile: bool
    deterministic: bool


@record
class Row:
    """What a run has of its own; its row in a table of params.yaml."""

    stop_gradient: bool
    weights: dict[str, NotNegative]


def main(
    table: str,
    name: str,
    seed: int,
    shards: Path,
    images: Path,
    manifest: Path,
    weights: Path,
    curve: Path,
    report: Path,
) -> None:
    p, row = load(TrainSimclr, "train_simclr"), load(Row, table, name)
    samples, listed = Shards(shards), read_manifest(manifest)
    if listed.classes != samples.classes:
        raise ValueError(
            f"{manifest} lists {len(listed.classes)} classes and {shards} labels "
            f"{len(samples.classes)}, or others; the probe needs the same class folders in both"
        )
    code = [Path(__file__), *Path(__file__).with_name("attnlabels").rglob("*.py")]
    mark = fingerprint([vars(p), vars(row), seed], [*code, shards / "index.json"])
    with joined() as world:
        world.agree("the training", mark)
        set_determinism(p.deterministic)
        torch.manual_seed(seed)
        config = encoder_config(p)
        student = build_student(p, config, n_classes=len(samples.classes)).to(world.device)
        student.to(memory_format=torch.channels_last)
        training = Training(student, p=p, row=row, world=world)
        scratch = Scratch(f"simclr-{mark}")
        title = f"{name} {seed}"
        history = fit(training, Views(samples, p, seed), seed=seed, scratch=scratch, title=title)
        top1 = score_probe(student, images, listed, p=p, world=world)
        if not world.first:
            return
        with replacing(weights) as aside:
            write_weights(aside, student, {**config, "seed": seed, "run": name})
        write_rows(curve, history, columns=list(history[0]))
        write_json(report, summary(history, row, n=p.batch_size) | {"probe": {"top1": top1}})
        scratch.clear()


class Views(Dataset[dict[str, Any]]):
    """Two views, the clean image, its map and its fixations; an item is named (epoch, index).

    Images are uint8 [h, w, 3]. The draws depend on (seed, epoch, index) alone, so they are the
    same in whichever process and after whichever interruption a sample is made.
    """

    def __init__(self, samples: Shards, p: TrainSimclr, seed: int) -> None:
        self.samples, self.p, self.seed = samples, p, seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        epoch, index = item
        p = self.p
        sample = self.samples[index]
        height, width = sample["image_size"]
        rng = np.random.default_rng([self.seed, epoch, index])
        drawn = [
            draw_view(
                height,
                width,
                area=p.crop_area,
                strength=p.jitter_strength,
                hue=p.jitter_hue,
                grey=p.grey,
                blurred=p.blur,
                rng=rng,
            )
            for _ in range(2)
        ]
        # Paper: a JPEG of which every part that is used shrinks to a half or less is decoded at
        # 1/2, 1/4 or 1/8: the same crops, from pixels that differ by some grey levels.
        side = min(int(p.clean_crop * min(height, width)), *drawn[0].box[2:], *drawn[1].box[2:])
        times = reduction(sample["image"], side=side, size=p.image_size)
        image = decode_reduced(
            sample["image"],
            size=(height, width),
            reduction=times,
            name=f"{self.samples.folder}: {sample['key']}",
        )
        views = [view(image, each, size=p.image_size, reduction=times) for each in drawn]
        box = centre_box(height, width, p.clean_crop)
        size = (p.map_size, p.map_size)
        return {
            "view0": views[0],
            "view1": views[1],
            "clean": resize_centre_crop(image, size=p.image_size, crop=p.clean_crop),
            "map": crop_map(sample["map"], box, size=size),
            "fixations": count_points(sample["points"], grid=sample["grid"], box=box, size=size),
            "label": sample["label"],
            "index": index,
        }


def encoder_config(p: TrainSimclr) -> dict[str, Any]:
    """What a later stage needs to build the encoder and the head again, and to feed them."""
    return {
        "encoder": {
            "backbone": p.backbone,
            "width": p.width,
            "stem": p.stem,
            "taps": p.attention_taps,
            "zero_init": p.zero_init,
        },
        "attention": {
            "select": p.attention_select, "output": p.attention_output, "size": p.map_size,
        },
        "image_size": p.image_size,
        "clean_crop": p.clean_crop,
        "eval_crop": p.eval_crop,
    }


def build_student(p: TrainSimclr, config: dict[str, Any], *, n_classes: int) -> Student:
    """The student, with weights drawn from torch's generator."""
    encoder = Encoder(**config["encoder"])
    head = projector(encoder.n_features, layers=p.projector_layers, n_outputs=p.projector_outputs)
    probe = nn.Linear(encoder.n_features, n_classes)
    nn.init.normal_(probe.weight, std=0.01)
    nn.init.zeros_(probe.bias)
    return Student(encoder, head, AttentionHead(**config["attention"]), probe)


def build_optimizer(p: TrainSimclr, student: Student) -> torch.optim.Optimizer:
    """Kernels decay and, under LARS, adapt; gains and biases do neither.

    So does SimCLR (lars_optimizer.py). The probe's kernel decays but does not adapt. The four
    parameters of the attention head have a rate of their own, `attention_learning_rate` times the
    others' (A12).
    """
    trained = [each for part in (student.encoder, student.projector) for each in part.parameters()]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "adapt": True, "decays": True},
        {"params": [student.probe.weight], "adapt": False, "decays": True},
        {
            "params": [each for each in trained if each.ndim == 1 and each.requires_grad]
            + [student.probe.bias],
            "adapt": False,
            "decays": False,
        },
        {
            "params": list(student.attention.parameters()),
            "adapt": False,
            "decays": False,
            "rate": p.attention_learning_rate,
        },
    ]
    scale = {"none": 1.0, "sqrt": p.batch_size**0.5, "linear": p.batch_size / 256}
    base = p.learning_rate * scale[p.learning_rate_scaling]
    for group in groups:
        group["base"] = group["lr"] = base * group.pop("rate", 1.0)
        group["weight_decay"] = p.weight_decay if group.pop("decays") else 0.0
        if p.optimizer != "lars":
            group.pop("adapt")
    if p.optimizer == "lars":
        return Lars(groups, lr=base, momentum=0.9, weight_decay=0.0, trust_coefficient=1e-3)
    if p.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=base, momentum=0.9)
    return torch.optim.AdamW(groups, lr=base)


class Training:
    """What a student is trained with, one update at a time."""

    def __init__(self, student: Student, *, p: TrainSimclr, row: Row, world: World) -> None:
        if p.batch_size % (world.size * p.chunks):
            raise ValueError(
                f"a batch of {p.batch_size} does not divide into {world.size} processes times "
                f"{p.chunks} chunks; change train_simclr.batch_size, processes or chunks"
            )
        if p.compile:
            student.encoder.compile()
        self.student, self.p, self.row, self.world = student, p, row, world
        self.optimizer = build_optimizer(p, student)
        self.update = Step(
            student, self.optimizer, world=world, precision=p.precision, chunks=p.chunks
        )

    def step(self, batch: dict[str, Tensor], *, rate: float) -> dict[str, float]:
        """One update at `rate` times each group's learning rate; the loss and its terms.

        `batch` is this process's share, the loss that of the whole. Raises FloatingPointError if
        a term or a gradient is not finite.
        """
        values: dict[str, Tensor] = {}

        def forward(student: nn.Module, *views: Tensor) -> Outputs:
            joint, stop = self.p.joint_batch_norm, self.row.stop_gradient
            return student(*views, joint=joint, stop_gradient=stop)

        def loss(outputs: Outputs, rows: Sequence[Tensor]) -> Tensor:
            labels, maps, fixations = rows
            targets = Targets(labels, maps, fixations, self.p.temperature)
            total, terms = objective(outputs, targets, weights=self.row.weights)
            values.update({"loss": total, **terms, "spread": spread(outputs.z0)})
            return total

        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * rate
        images = [batch[key] for key in ("view0", "view1", "clean")]
        targets = [batch[key] for key in ("label", "map", "fixations")]
        self.update(images, targets, forward=forward, loss=loss)
        # One transfer: each makes a GPU wait.
        numbers = torch.stack([value.detach().float() for value in values.values()]).tolist()
        return dict(zip(values, numbers))


def spread(z: Tensor) -> Tensor:
    """Standard deviation of normalised projections times √d: 1 spread out, 0 collapsed.

    Chen & He 2021 (SimSiam), figure 2.
    """
    return F.normalize(z.detach().float(), dim=1).std(dim=0).mean() * math.sqrt(z.shape[1])


def fit(
    run: Training, views: Views, *, seed: int, scratch: Scratch, title: str
) -> list[dict[str, float]]:
    """Train to the last step; returns one row of mean losses an epoch."""
    p, world = run.p, run.world
    step, history, sums = 0, [], {}
    with Resumable(
        scratch, world, minutes=p.checkpoint_minutes, steps=p.checkpoint_steps
    ) as kept:
        if state := kept.read():
            run.update.load_state_dict(state)
            step, history, sums = state["step"], state["history"], state["sums"]
        batches = Batches(
            len(views),
            batch_size=p.batch_size,
            epochs=p.epochs,
            seed=seed,
            start=step,
            rank=world.rank,
            size=world.size,
        )
        warmup_steps = round(p.warmup_epochs * batches.steps_per_epoch)

        def everything() -> dict[str, Any]:
            return {**run.update.state_dict(), "history": history, "sums": sums}

        run.student.train()
        quiet = None if world.first else True
        with tqdm(desc=title, total=batches.total, initial=step, disable=quiet) as progress:
            for batch in load_batches(views, batches, workers=p.workers, device=world.device):
                factor = warmup_cosine(step, warmup_steps=warmup_steps, total_steps=batches.total)
                try:
                    terms = run.step(batch, rate=factor)
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
                    rate = run.optimizer.param_groups[0]["lr"]
                    history.append({"epoch": epoch, "step": step, "lr": rate, **sums})
                    progress.set_postfix({key: f"{value:.3f}" for key, value in sums.items()})
                    sums = {}
                    if world.first:
                        warn_of_collapse(history[-1], n=p.batch_size)
                progress.update()
                kept.done(step, everything)
        kept.save(step, everything)  # what follows may still fail, and would cost the run
    return history


def collapsed(row: dict[str, float], *, n: int) -> str:
    """What shows that an epoch's projections no longer tell images apart, or nothing.

    NT-Xent is 2 ln(2n - 1) for n images if every other view is as likely to be an image's own.
    """
    if row["spread"] < 0.01:
        return f"projections have collapsed to a point (spread {row['spread']:.2g})"
    chance = 2 * math.log(2 * n - 1)
    if row.get("contrastive", 0.0) > 0.995 * chance:
        return f"NT-Xent is no better than chance ({row['contrastive']:.3f}, chance {chance:.3f})"
    return ""


def warn_of_collapse(row: dict[str, float], *, n: int) -> None:
    """Say so in the log, after an epoch; `summary` puts it into the metrics."""
    if why := collapsed(row, n=n):
        tqdm.write(f"warning: epoch {row['epoch']}: {why}", file=sys.stderr)


def summary(history: list[dict[str, float]], row: Row, *, n: int) -> dict[str, Any]:
    """The last epoch's losses, and whether the projections collapsed by then."""
    last = history[-1]
    return {
        "loss": {key: last[key] for key in ("loss", *row.weights)},
        "steps": last["step"],
        "spread": last["spread"],
        "collapsed": int(bool(collapsed(last, n=n))),
    }


def load_batches(
    views: Views, batches: Batches, *, workers: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Batches on the device; images become float [n, 3, h, w] in [0, 1], channels last."""
    loader: DataLoader[Any] = DataLoader(
        views,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=start_worker,
    )
    for batch in loader:
        moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        for key in ("view0", "view1", "clean"):
            moved[key] = as_input(moved[key])
        yield moved


class Squares(Dataset[tuple[np.ndarray, int]]):
    """Validation images as SimCLR scores them, centre-cropped, with their labels."""

    def __init__(self, images: Path, listed: Manifest, p: TrainSimclr) -> None:
        self.images, self.listed, self.p = images, listed, p

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        image = read_image(self.images / self.listed.paths[index])
        square = resize_centre_crop(image, size=self.p.image_size, crop=self.p.eval_crop)
        return square, int(self.listed.labels[index])


@torch.no_grad()
def score_probe(
    student: Student, images: Path, listed: Manifest, *, p: TrainSimclr, world: World
) -> float:
    """Top-1 accuracy of the concurrent probe on validation images, shared among the processes."""
    student.eval()
    n = len(listed.paths)
    loader: DataLoader[Any] = DataLoader(
        Squares(images, listed, p),
        batch_size=256,
        sampler=range(world.rank, n, world.size),
        num_workers=p.workers,
        worker_init_fn=start_worker,
    )
    hits, seen = 0, 0
    quiet = None if world.first else True
    for squares, labels in tqdm(loader, desc="concurrent probe", disable=quiet):
        logits = student.probe(features(student.encoder(as_input(squares.to(world.device)))))
        hits += int((logits.argmax(dim=1).cpu() == labels).sum())
        seen += len(labels)
    assert world.total(seen) == n  # each image once
    return world.total(hits) / n


if __name__ == "__main__":
    run(main, before=lambda: launch(load(TrainSimclr, "train_simclr").processes))
