"""How an encoder's attention agrees with people's, whatever the encoder, beside what is no encoder.

Its maps are read in several ways, which are fitted on labels or, where there are none, on the
recordings themselves: each image is then read by what was fitted without it. Beside them stand a
centre prior of the same fit, the same network with random weights, a teacher, and half of the
people against the other half.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from attnlabels.evaluation.benchmarks import Scores
from attnlabels.evaluation.encoders import Shown, open_eye
from attnlabels.evaluation.teacher_scores import (
    counts_fixations,
    have_two_observers,
    predict,
    score_halves,
)
from attnlabels.images.crops import centre_box, crop_map
from attnlabels.metrics.alignment import mean_scores
from attnlabels.metrics.saliency import floor
from attnlabels.metrics.statistics import mean_se, spearman_brown
from attnlabels.models.files import building, read_config
from attnlabels.models.timm_encoder import build_encoder
from attnlabels.processes.world import own_device
from attnlabels.readouts.intermediates import Eye, Seen
from attnlabels.readouts.readouts import READOUTS, HeadShape, Linear, Prior, Readout, Refit
from attnlabels.readouts.ridge import Line
from attnlabels.readouts.scoring import (
    Compared,
    Draw,
    drawing,
    fit_across,
    fit_to_all,
    learn,
    score,
)
from attnlabels.readouts.students import Aligned, FrozenStudent, align, refit, spread_over
from attnlabels.shards.shards import Shards, sha256_of
from attnlabels.teachers.trained import Trained, read_trained

N_LABELS = 1000  # images of the labels that readouts are fitted on
REFIT: Refit = {"steps": 200, "kld_weight": 1.0, "nss_weight": 0.1}
PARTS = 5  # of what is fitted on: one chooses the penalty and, of recordings, one is read
SPLITS = 10  # of the observers of an image into halves
OWN, RANDOM = "", "random_"  # what the names of readouts begin with, by whose they are


@dataclass(frozen=True)
class People:
    """What an encoder's attention is compared with."""

    attention: Mapping[str, Path]  # shards of recordings, by name
    labels: Path | None  # shards that readouts are fitted on; None: folds of the recordings
    teacher: Path | None  # a file of weights
    readouts: Sequence[str]  # how maps of attention are read, of READOUTS

    def of(self, on: Sequence[str]) -> dict[str, dict[str, str]]:
        """What alignment's scores depend on, if it is among the benchmarks `on`, by stage.

        The sha256 of the teacher's file and of the index of the labels, where there are any.
        """
        if "alignment" not in on:
            return {}
        files = {"labels": self.labels and self.labels / "index.json", "teacher": self.teacher}
        return {"align_attention": {key: sha256_of(path) for key, path in files.items() if path}}


class Watched(NamedTuple):
    """An encoder whose attention is looked for, and its twin with random weights."""

    eyes: dict[str, Eye]  # by what the names of their readouts begin with
    head: HeadShape
    student: FrozenStudent | None  # if it is one of ours, which has maps of its own


class Fitted(NamedTuple):
    """Readouts that are fitted, the lines of the linear ones, and on what."""

    draws: list[Draw]
    lines: dict[str, list[Line]]
    on: str


class Agreement:
    """An encoder, opened, and what it is to be compared with.

    One of our checkpoints is shown images as it was trained with, any other as `shown` says. `seed`
    draws the weights of its twin and halves the observers. Raises ValueError or OSError, before
    anything is computed, for an encoder without intermediate features and for what does not fit.
    """

    def __init__(
        self,
        encoder: str,
        people: People,
        weights: Path | None,
        prefix: str | None,
        shown: Shown,
        batch_size: int,
        seed: int,
    ) -> None:
        _require(people)
        self.people, self.batch_size, self.seed = people, batch_size, seed
        self.trained = read_trained(people.teacher) if people.teacher else None
        if Path(encoder).suffix == ".safetensors":
            self.watched = _student(Path(encoder), batch_size=batch_size, seed=seed)
        else:
            self.watched = _network(encoder, weights, prefix, shown, seed=seed)
        self.readouts, self.left_out = _possible(self.watched.eyes[OWN], people.readouts)

    def __iter__(self) -> Iterator[Scores]:
        """By set and readout, the mean over images of each score, each set once it is finished.

        What else is said of a set, docs/evaluate.md has.
        """
        fitted = None
        if self.people.labels:
            labels = Shards(self.people.labels)
            if student := self.watched.student:
                loss = refit(student, labels, n_images=N_LABELS, **REFIT)
                yield Scores("align_attention", {"refit": loss})
            fitted = self._fit(labels, across=False)
        for name, folder in self.people.attention.items():
            found = self._compare(folder, fitted or self._fit(Shards(folder), across=True))
            yield Scores("align_attention", {name: found})

    def _compare(self, folder: Path, fitted: Fitted) -> dict[str, Any]:
        crop = self.watched.eyes[OWN].crop
        draws = [*fitted.draws, *([_of_teacher(self.trained, crop)] if self.trained else [])]
        compared = score(folder, draws, crop=crop, batch_size=self.batch_size)
        if self.watched.student:
            compared = _joined(align(self.watched.student, folder), compared)
        lines = fitted.lines.items()
        halves, why = _halves(folder, crop=crop, seed=self.seed)
        return {
            **{name: mean_scores(rows) for name, rows in compared.scores.items()},
            **halves,
            "n": len(next(iter(compared.scores.values()))),
            "undefined": compared.n_undefined,
            "crop": crop,
            "fitted_on": fitted.on,
            "se": {name: _errors(rows) for name, rows in compared.scores.items()},
            "constant": compared.constant,
            "penalty": {name: [each.penalty for each in fits] for name, fits in lines},
            "penalty_at_end": {
                name: sum(each.why_ended is not None for each in fits) for name, fits in lines
            },
            "left_out": {**self.left_out, **why},
        }

    def _fit(self, shards: Shards, *, across: bool) -> Fitted:
        """Fit the readouts to the shards and, beside the encoder's own, a centre prior.

        Those of the encoder and those of its twin in turn, so that no more is held at a time.
        Fitted `across` parts, the images of each are read by what was fitted to the others.
        """
        rows = spread_over(shards, len(shards) if across else N_LABELS)
        count = len(rows)
        n_parts = min(PARTS, count)
        draws, lines = [], {}
        for prefix, eye in self.watched.eyes.items():
            readouts: dict[str, Readout] = {
                name: READOUTS[name](self.watched.head, REFIT) for name in self.readouts
            }
            if prefix == OWN:
                readouts["centre_prior"] = Prior()
            learn(eye, shards, rows, readouts, n_parts=n_parts, batch_size=self.batch_size)
            fitted = (fit_across if across else fit_to_all)(readouts, n_parts=n_parts)
            draws.append(drawing(eye, fitted, prefix=prefix))
            for name, each in readouts.items():
                if isinstance(each, Linear):
                    lines[prefix + name] = each.lines
        kind = shards.index["maps_by"]["kind"]
        of_labels = f"{count} images of {shards.folder.name}, maps by {kind}"
        of_folds = f"these recordings, {n_parts} folds by image, each read by a fit to the others"
        return Fitted(draws, lines, of_folds if across else of_labels)


def _require(people: People) -> None:
    if not people.attention:
        raise ValueError("alignment is with recordings of people; give at least one set of shards")
    if unknown := [each for each in people.readouts if each not in READOUTS]:
        raise ValueError(f"no readout {unknown[0]!r}; expected some of {', '.join(READOUTS)}")
    recorded = [Shards(folder) for folder in people.attention.values()]
    if people.labels is None:
        for each in recorded:
            if len(each) < 3:
                raise ValueError(
                    f"{each.folder}: {len(each)} images; to fit, to choose a penalty and to score "
                    "takes 3, or labels to fit on"
                )
        return
    _require_apart(Shards(people.labels), recorded)


def _require_apart(labels: Shards, recorded: Sequence[Shards]) -> None:
    fitted = {sha256(labels[i]["image"]).digest() for i in spread_over(labels, N_LABELS)}
    for shards in recorded:
        for sample in (shards[i] for i in range(len(shards))):
            if sha256(sample["image"]).digest() in fitted:
                raise ValueError(
                    f"{sample['name']} is in {labels.folder} and in {shards.folder}, and would be "
                    "scored by what was fitted on it; leave out the labels to fit across folds"
                )


def _network(
    encoder: str, weights: Path | None, prefix: str | None, shown: Shown, *, seed: int
) -> Watched:
    device = own_device()
    own = open_eye(encoder, weights=weights, prefix=prefix, shown=shown, device=device)
    twin = open_eye(encoder, weights=None, shown=shown, device=device, seed=seed)
    head = HeadShape(select="local_mean_max", output="spatial_softmax", size=max(1, own.size // 4))
    return Watched({OWN: own, RANDOM: twin}, head, None)


def _student(path: Path, *, batch_size: int, seed: int) -> Watched:
    config = read_config(path, "encoder", "attention")
    student = FrozenStudent(path, batch_size=batch_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        twin = build_encoder(**config["encoder"]).eval().to(student.device)
    eyes = {
        prefix: Eye(
            look=_looking(each, student.device),
            size=student.size,
            crop=student.crop,
            interpolation="bicubic",
        )
        for prefix, each in ((OWN, student.encoder), (RANDOM, twin))
    }
    with building(path):
        about = config["attention"]
        head = HeadShape(select=about["select"], output=about["output"], size=about["size"])
    return Watched(eyes, head, student)


def _looking(encoder: nn.Module, device: torch.device) -> Any:
    def look(squares: UInt8[Tensor, "n s s 3"]) -> Seen:
        stages = encoder(squares.to(device).permute(0, 3, 1, 2).float() / 255)
        return Seen([stages.first, stages.second, stages.last], None)

    return look


def _possible(eye: Eye, readouts: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The readouts that there are of an encoder, in order, and why others are not."""
    if eye.see([np.zeros((eye.size, eye.size, 3), np.uint8)]).class_token is not None:
        return list(readouts), {}
    why = "the encoder has no class token whose attention can be had"
    there = [each for each in readouts if each != "class_token"]
    return there, {each: why for each in readouts if each not in there}


def _of_teacher(trained: Trained, crop: float) -> Draw:
    trained.teacher.to(own_device())
    size = trained.image_size

    def draw(
        images: Sequence[UInt8[np.ndarray, "_ _ 3"]], numbers: Sequence[int]
    ) -> dict[str, list[Float[np.ndarray, "a b"]]]:
        maps = predict(trained.teacher, list(images), size)
        boxes = [centre_box(each.shape[0], each.shape[1], crop) for each in images]
        return {"teacher": [crop_map(map, box, size=size) for map, box in zip(maps, boxes)]}

    return draw


def _joined(aligned: Aligned, compared: Compared) -> Compared:
    """The scores of a student's own maps before those of the readouts."""
    constant = {name: sum(floor(map) == 1 for map in maps) for name, maps in aligned.maps.items()}
    return compared._replace(
        scores={**aligned.scores, **compared.scores}, constant={**constant, **compared.constant}
    )


def _errors(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The standard error of each score's mean; none of a single image."""
    errors = {key: mean_se(np.array([row[key] for row in rows])).se for key in rows[0]}
    return {key: error for key, error in errors.items() if error is not None}


def _halves(folder: Path, *, crop: float, seed: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The CC of half of the observers with the other half, or why there is none."""
    if crop != 1:
        return {}, {"split_half": "it is of whole photographs, and the encoder is shown a part"}
    shards = Shards(folder)
    if not counts_fixations(shards):
        return {}, {"split_half": "its maps weigh fixations by duration, which shards do not keep"}
    if not have_two_observers(shards):
        return {}, {"split_half": "not all images say of two people or more where they looked"}
    values = np.fromiter(score_halves(folder, splits=SPLITS, seed=seed), float)
    half = float(values.mean())
    return {"split_half": {"cc": half, "cc_all_observers": spearman_brown(half)}}, {}
