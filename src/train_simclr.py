"""Train SimCLR with an attention head on labelled shards (paper §3.3, §4.1; SimCLR repository).

    python src/train_simclr.py TABLE RUN SEED SHARDS IMAGES MANIFEST WEIGHTS CURVE REPORT

TABLE and RUN name the run's row in params.yaml, SHARDS its attention labels, IMAGES and MANIFEST
the validation images that the concurrent probe is scored on. A run that was killed goes on where
it was, to the same weights. The last epoch is reported.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.datasets.crops import centre_box, count_points, crop_map
from attnlabels.datasets.image_folder import Manifest, read_manifest
from attnlabels.datasets.images import decode, read_image, resize_centre_crop
from attnlabels.datasets.shards import Shards
from attnlabels.models.attention_head import AttentionHead, Output, Select
from attnlabels.models.encoder import Backbone, Encoder, Stem, Taps, features
from attnlabels.models.files import write_weights
from attnlabels.models.projector import projector
from attnlabels.models.student import Student
from attnlabels.objective import Targets, objective
from attnlabels.params import load, record
from attnlabels.report import replacing, write_json, write_rows
from attnlabels.script import run
from attnlabels.training.checkpoint import Scratch, fingerprint
from attnlabels.training.lars import Lars
from attnlabels.training.order import Batches
from attnlabels.training.schedule import warmup_cosine
from attnlabels.training.views import view

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
    precision: Literal["fp32", "bf16"]
    workers: Annotated[int, Field(ge=0)]
    checkpoint_minutes: NotNegative


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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    samples, listed = Shards(shards), read_manifest(manifest)
    if listed.classes != samples.classes:
        raise ValueError(
            f"{manifest} lists {len(listed.classes)} classes and {shards} labels "
            f"{len(samples.classes)}, or others; the probe needs the same class folders in both"
        )
    config = encoder_config(p)
    student = build_student(p, config, n_classes=len(samples.classes)).to(device)
    student.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(p, student)

    code = [Path(__file__), *Path(__file__).with_name("attnlabels").rglob("*.py")]
    mark = fingerprint([vars(p), vars(row), seed], [*code, shards / "index.json"])
    scratch = Scratch(f"simclr-{mark}")
    history = fit(
        student,
        optimizer,
        Views(samples, p, seed),
        p=p,
        row=row,
        seed=seed,
        scratch=scratch,
        device=device,
        title=f"{name} {seed}",
    )
    top1 = score_probe(student, images, listed, p=p, device=device)

    with replacing(weights) as aside:
        write_weights(aside, student, {**config, "seed": seed, "run": name})
    write_rows(curve, history, columns=list(history[0]))
    losses = {key: history[-1][key] for key in ("loss", *row.weights)}
    write_json(report, {"loss": losses, "probe": {"top1": top1}, "steps": history[-1]["step"]})
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
        image = decode(sample["image"], name=f"{self.samples.folder}: {sample['key']}")
        rng = np.random.default_rng([self.seed, epoch, index])
        views = [
            view(
                image,
                size=p.image_size,
                area=p.crop_area,
                strength=p.jitter_strength,
                hue=p.jitter_hue,
                grey=p.grey,
                blurred=p.blur,
                rng=rng,
            )
            for _ in range(2)
        ]
        box = centre_box(image.shape[0], image.shape[1], p.clean_crop)
        size = (p.map_size, p.map_size)
        return {
            "view0": views[0],
            "view1": views[1],
            "clean": resize_centre_crop(image, size=p.image_size, crop=p.clean_crop),
            "map": crop_map(sample["map"], box, size=size),
            "fixations": count_points(sample["points"], grid=sample["grid"], box=box, size=size),
            "label": sample["label"],
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


def fit(
    student: Student,
    optimizer: torch.optim.Optimizer,
    views: Views,
    *,
    p: TrainSimclr,
    row: Row,
    seed: int,
    scratch: Scratch,
    device: torch.device,
    title: str,
) -> list[dict[str, float]]:
    """Train to the last step; returns one row of mean losses an epoch."""
    step, history, sums = 0, [], {}
    if state := scratch.read():
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        step, history, sums = state["step"], state["history"], state["sums"]
    batches = Batches(
        len(views), batch_size=p.batch_size, epochs=p.epochs, seed=seed, start=step
    )
    warmup_steps = round(p.warmup_epochs * batches.steps_per_epoch)
    student.train()
    saved = time.monotonic()

    def save() -> None:
        scratch.write({
            "student": student.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "history": history,
            "sums": sums,
        })

    with tqdm(desc=title, total=batches.total, initial=step, disable=None) as progress:
        for batch in load_batches(views, batches, workers=p.workers, device=device):
            factor = warmup_cosine(step, warmup_steps=warmup_steps, total_steps=batches.total)
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * factor
            terms = train_step(student, optimizer, batch, p=p, row=row, step=step)
            step += 1
            for key, value in terms.items():
                sums[key] = sums.get(key, 0.0) + value / batches.steps_per_epoch
            if step % batches.steps_per_epoch == 0:
                rate = optimizer.param_groups[0]["lr"]
                epoch = step // batches.steps_per_epoch
                history.append({"epoch": epoch, "step": step, "lr": rate, **sums})
                progress.set_postfix({key: f"{value:.3f}" for key, value in sums.items()})
                sums = {}
            progress.update()
            if time.monotonic() - saved > 60 * p.checkpoint_minutes:
                save()
                saved = time.monotonic()
    save()  # what follows may still fail, and would cost the run
    return history


def load_batches(
    views: Views, batches: Batches, *, workers: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Batches on the device; images become float [n, 3, h, w] in [0, 1], channels last."""
    cv2.setNumThreads(0)  # each worker is one thread
    loader: DataLoader[Any] = DataLoader(
        views,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=one_thread if workers else None,
    )
    for batch in loader:
        moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        for key in ("view0", "view1", "clean"):
            moved[key] = moved[key].permute(0, 3, 1, 2).float() / 255
        yield moved


def one_thread(worker: int) -> None:
    """OpenCV in a worker must not start threads of its own."""
    cv2.setNumThreads(0)


def train_step(
    student: Student,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, Tensor],
    *,
    p: TrainSimclr,
    row: Row,
    step: int,
) -> dict[str, float]:
    """One update; returns the loss and its terms."""
    device = batch["clean"].device
    with torch.autocast(device.type, torch.bfloat16, enabled=p.precision == "bf16"):
        outputs = student(
            batch["view0"],
            batch["view1"],
            batch["clean"],
            joint=p.joint_batch_norm,
            stop_gradient=row.stop_gradient,
        )
    targets = Targets(batch["label"], batch["map"], batch["fixations"], p.temperature)
    try:
        loss, terms = objective(outputs, targets, weights=row.weights)
    except FloatingPointError as error:
        raise ValueError(f"step {step}: {error}; lower learning_rate or use fp32") from error
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {key: float(term.detach()) for key, term in {"loss": loss, **terms}.items()}


@torch.no_grad()
def score_probe(
    student: Student, images: Path, listed: Manifest, *, p: TrainSimclr, device: torch.device
) -> float:
    """Top-1 accuracy of the concurrent probe on validation images, centre-cropped (SimCLR)."""
    student.eval()
    hits = 0
    for first in tqdm(range(0, len(listed.paths), 256), desc="concurrent probe", disable=None):
        paths = listed.paths[first : first + 256]
        pixels = [
            resize_centre_crop(read_image(images / path), size=p.image_size, crop=p.eval_crop)
            for path in paths
        ]
        batch = torch.from_numpy(np.stack(pixels)).to(device).permute(0, 3, 1, 2).float() / 255
        logits = student.probe(features(student.encoder(batch)))
        labels = torch.as_tensor(listed.labels[first : first + 256], device=device)
        hits += int((logits.argmax(dim=1) == labels).sum())
    return hits / len(listed.paths)


if __name__ == "__main__":
    run(main)
