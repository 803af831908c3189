"""A teacher from one's own recordings of where people looked, and how good it is."""

import json
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from attnlabels.evaluation.teacher_scores import have_two_observers, score_halves, score_set
from attnlabels.images.broken import Broken
from attnlabels.labelling.fitted_sigma import fit_to
from attnlabels.metrics.alignment import SCORES
from attnlabels.metrics.statistics import paired_t, spearman_brown
from attnlabels.models.files import write_weights
from attnlabels.pipeline.code import code_of
from attnlabels.pipeline.places import require_ours, settle
from attnlabels.pipeline.writing import replacing, write_json, write_rows
from attnlabels.processes.checkpoint import Scratch, fingerprint
from attnlabels.processes.world import joined
from attnlabels.recordings.fixation_csv import Reading
from attnlabels.recordings.human_maps import Maps, draw_samples
from attnlabels.recordings.plausibility import require_plausible
from attnlabels.recordings.points import Recording
from attnlabels.recordings.reading import Found, read_recordings
from attnlabels.shards.index import read_index
from attnlabels.shards.shards import Shards, sha256_of, write_shards
from attnlabels.teachers.backbones import Backbone, TimmNetwork, in_words
from attnlabels.teachers.network import Teacher
from attnlabels.training.teachers import Design, Recipe, Recordings, architecture, header, train

LEAST = 8  # images: 5 to train on, 1 that chooses the epoch, 2 to score
HELD_OUT, DEVELOPMENT = 0.2, 0.1  # shares of the images
BATCH_SIZE = 16
STEPS = 1000  # at least, if no epochs are given: what 400 images of OSIE were trained for
EPOCHS = 40  # at least, likewise
ENLARGED = 8 / 7  # what is scored and labelled: as crops are on average
DESIGN = Design(taps=(3, 5, 7, 9), output="learnt_offset")  # the default chain's
SPLITS = 10  # of the observers of an image into halves
STRIDE = 32  # of the teacher: the sides of what it is trained on are multiples
SHARD_SIZE = 1000


def train_teacher(
    data: Path,
    out: Path,
    *,
    images: Path | None = None,
    sigma: float = 0.03,
    side: int = 384,
    epochs: int | None = None,
    seed: int = 0,
    backbone: Backbone = Backbone(),
    reading: Reading = Reading(),
) -> dict[str, Any]:
    """Train a teacher on the recordings `data` and score it on images it never saw.

    `data` is a table of points (CSV: image,x,y[,observer,t,duration], in pixels; `reading` says
    what else it may be), a JSON file in SALICON's layout or the folder of its MAT files, of the
    photographs in the folder `images` (by default `images` beside it). A photograph under two names
    is one. The points become maps by SALICON's recipe with a Gaussian of `sigma` image widths (0.03
    is SALICON's and OSIE's, 1 degree of visual angle). Photographs are resized so that their longer
    side is `side`. A fifth of the images is held out and scored; a tenth chooses the epoch. Which,
    depends on the names of all. `epochs` is 40 or what makes 1000 steps, if that is more. The
    weights of a `backbone` may have learnt from class labels: report and file say whose they are.

    Writes the weights to `out`, a .safetensors file, and beside it the report (.json) and the curve
    of the training (.csv). Returns the report: counts, scores of the teacher, of a centre prior
    and, if every image held out has two observers or more, of one half of them and the other.
    A run that was killed goes on where it was. Raises ValueError or OSError for input that does not
    fit, and for others' files of those names.
    """
    _require_names(data, out)
    about = _look_at(backbone)
    images = images or data.parent / "images"
    found = _read(data, images, reading)
    recordings, skipped = found.recordings, found.skipped
    size = input_size(recordings, side=side)
    write = partial(
        _write_part, maps=_maps(size, sigma=sigma), source=data.name, broken=reading.broken
    )
    with TemporaryDirectory(prefix="attnlabels-") as folder:
        counts = {}
        for name, part in split(recordings).items():
            skipped += write(Path(folder, name), part, images)
            counts[name] = read_index(Path(folder, name))["samples"]
        _require_enough(data, counts, n=len(recordings), skipped=len(skipped))
        recipe = _recipe(size, n_train=counts["train"], epochs=epochs, seed=seed)
        report = _train_and_score(recipe, Path(folder), out, backbone=backbone, about=about)
    images_found = {**counts, "skipped": len(skipped), "merged": found.n_merged}
    report = {"images": images_found, "points": found.points, **report}
    write_json(out.with_suffix(".json"), report)
    return report


def describe(report: dict[str, Any]) -> str:
    """The report as a table, and what it means, for a person to read."""
    images, held_out = report["images"], report["val"]
    lines = [
        f"{images['train']} images trained it, {images['dev']} chose epoch {report['epoch']}, "
        f"{images['val']} were held out ({images['skipped']} skipped):",
        *_left_out(report),
        *([in_words(report["backbone"])] if "backbone" in report else []),
        "",
        f"{'':22}" + "".join(f"{key:>8}" for key in SCORES),
    ]
    for name, title in (("teacher", "teacher"), ("centre_prior", "centre prior")):
        row = "".join(f"{held_out[name][key]:8.3f}" for key in SCORES)
        lines.append(f"{title:22}{row}")
    if "split_half" in held_out:
        half = held_out["split_half"]
        lines.append(f"{'half the observers':22}{half['cc']:8.3f}")
        lines.append(f"{'all, extrapolated':22}{half['cc_all_observers']:8.3f}")
    else:
        lines.append("No human ceiling: not every held-out image has two observers or more.")
    gap = report["cc_above_prior"]
    by = f"by {abs(gap['mean']):.3f}" + (f" ± {gap['se']:.3f}" if "se" in gap else "")
    clear = gap.get("p", 1.0) < 0.05
    if clear and gap["mean"] > 0:
        verdict = f"It predicts people better than the centre prior: CC is higher {by}."
    elif clear:
        verdict = (
            f"It predicts people WORSE than the centre prior: CC is lower {by}. Do not use it."
        )
    else:
        verdict = (
            f"It cannot be told from the centre prior (CC differs {by} over {images['val']} "
            "images): record more images before you use it."
        )
    return "\n".join([*lines, "", verdict])


def _left_out(report: dict[str, Any]) -> list[str]:
    """A line of what was not taken as it is in the file, if anything was not."""
    points, merged = report["points"], report["images"]["merged"]
    found = {
        "points in which nothing was measured, left out": points["lost"],
        "points outside of their image, left out": points["dropped"],
        "points outside of their image, moved to its border": points["clipped"],
        "names of a photograph that has another, joined": merged,
    }
    told = "; ".join(f"{n} {what}" for what, n in found.items() if n)
    return [f"{told}."] if told else []


def split(recordings: Sequence[Recording]) -> dict[str, list[Recording]]:
    """The recordings to train on, to choose the epoch by, and to score, by their names alone."""
    ranked = sorted(recordings, key=lambda each: (zlib.crc32(each.name.encode()), each.name))
    n_val = max(2, round(HELD_OUT * len(ranked)))
    n_dev = max(1, round(DEVELOPMENT * len(ranked)))
    return {
        "train": ranked[n_val + n_dev :],
        "dev": ranked[n_val : n_val + n_dev],
        "val": ranked[:n_val],
    }


def input_size(recordings: Sequence[Recording], *, side: int) -> tuple[int, int]:
    """Height and width for the teacher: the images' median shape, `side` the longer one."""
    if side < STRIDE:
        raise ValueError(f"side is {side}; expected at least {STRIDE} pixels")
    shape = float(np.median([each.height / each.width for each in recordings]))
    h, w = (side * min(shape, 1.0), side * min(1 / shape, 1.0))
    return max(STRIDE, round(h / STRIDE) * STRIDE), max(STRIDE, round(w / STRIDE) * STRIDE)


def _require_names(data: Path, out: Path) -> None:
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: the teacher's file ends in .safetensors; name it so")
    if data.resolve() in (out.with_suffix(suffix).resolve() for suffix in (".json", ".csv")):
        raise ValueError(f"{data} would be replaced by what is written beside {out}; rename it")
    if out.is_file() and not out.with_suffix(".json").is_file():
        raise FileExistsError(
            f"{out} is there already, without the report of a training; name another place"
        )
    settle(out, *map(out.with_suffix, (".json", ".csv")))
    for suffix, is_ours in ((".json", _is_report), (".csv", _is_curve)):
        cure = "move it, or give the weights another name"
        require_ours(out.with_suffix(suffix), is_ours, cure=cure)


def _is_report(data: bytes) -> bool:
    try:
        tree = json.loads(data)
    except ValueError:
        return False
    return isinstance(tree, dict) and {"dev_cc", "cc_above_prior"} <= tree.keys()


def _is_curve(data: bytes) -> bool:
    header = data.partition(b"\n")[0].split(b",")
    return {b"epoch", b"dev_cc"} <= {*header}


def _require_enough(data: Path, counts: dict[str, int], *, n: int, skipped: int) -> None:
    if min(counts["train"], counts["val"]) < 2:
        raise ValueError(
            f"{data}: of {n} images {skipped} were skipped, too many to train and score on the "
            "rest; fetch them again"
        )


def _look_at(backbone: Backbone) -> dict[str, Any]:
    """What file and report say of a backbone of timm; of the project's own, nothing.

    Raises ValueError or OSError, before any photograph is read, for one that cannot be built.
    """
    if backbone.name is None:
        return {}
    weights, told = backbone.weights, {"name": backbone.name}
    network = TimmNetwork(backbone.name, weights=weights, prefix=backbone.prefix)
    if weights is None:
        return {"backbone": told}
    file = {"file": weights.name, "sha256": sha256_of(weights), "prefix": network.prefix}
    return {"backbone": {**told, "weights": file, "frozen": backbone.frozen}}


def _build(recipe: Recipe, backbone: Backbone) -> Teacher:
    if backbone.name is None:
        return Teacher(**architecture(recipe, DESIGN))
    design = {**architecture(recipe, DESIGN), "taps": None}
    teacher = Teacher(
        **design, backbone=backbone.name, weights=backbone.weights, prefix=backbone.prefix
    )
    if backbone.frozen:
        teacher.freeze()
    return teacher


def _read(data: Path, images: Path, reading: Reading) -> Found:
    """Recordings enough to train on."""
    found = read_recordings(data, images, reading)
    if len(found.recordings) < LEAST:
        raise ValueError(f"{data}: {len(found.recordings)} images; expected at least {LEAST}")
    if not reading.trust_coordinates:
        require_plausible(found.recordings, images, zero=reading.zero)
    return found


def _maps(size: tuple[int, int], *, sigma: float) -> Maps:
    half = (size[0] // 2, size[1] // 2)
    return Maps(
        folder=None, sigma_px=sigma, sigma_width=1, count="binary", border="zeros", size=half
    )


def _write_part(
    folder: Path,
    part: Sequence[Recording],
    images: Path,
    *,
    maps: Maps,
    source: str,
    broken: Broken,
) -> list[str]:
    """Write shards of a part of the recordings; the names of the images left out."""
    left_out: list[str] = []
    bar = tqdm(_with_keys(part), desc=f"drawing {folder.name}", disable=None)
    write_shards(
        folder,
        draw_samples(bar, images, left_out, maps=maps, broken=broken, source=source),
        maximum_count=SHARD_SIZE,
        maps_by={
            "kind": "human",
            "sigma_px": maps.sigma_px,
            "sigma_width": maps.sigma_width,
            "count": maps.count,
            "border": maps.border,
        },
        classes=[],
        skipped=left_out,
    )
    return left_out


def _with_keys(recordings: Sequence[Recording]) -> list[tuple[str, Recording]]:
    # Not the file's name: two folders may use the same, and a key has letters of ASCII alone.
    return [(f"{number:07d}", each) for number, each in enumerate(recordings)]


def _recipe(size: tuple[int, int], *, n_train: int, epochs: int | None, seed: int) -> Recipe:
    batch_size = min(BATCH_SIZE, n_train)
    if epochs is None:
        epochs = max(EPOCHS, -(-STEPS // (n_train // batch_size)))
    # The values that were found on OSIE's recordings (stages/release/params.yaml).
    return Recipe(
        seed=seed,
        pool_stride=1,
        image_size=size,
        test_size=(round(ENLARGED * size[0]), round(ENLARGED * size[1])),
        kld_weight=1.0,
        nss_weight=0.0,
        batch_size=batch_size,
        epochs=epochs,
        warmup_epochs=min(1.0, epochs / 10),
        learning_rate=2e-3,
        final_rate=1.0,
        weight_decay=1e-4,
        offset=-6.0,
        norm_momentum=0.1,
        average=0.98,
        flip=0.5,
        zoom=0.75,
        jitter_strength=0.3,
        jitter_hue=0.05,
        precision="fp32",
        processes=1,
        workers=0,
        checkpoint_minutes=5.0,
        checkpoint_steps=0,
        deterministic=False,
    )


def _train_and_score(
    recipe: Recipe, folder: Path, out: Path, *, backbone: Backbone, about: dict[str, Any]
) -> dict[str, Any]:
    tested = recipe.tested()
    recordings, dev = Recordings(folder / "train", recipe), Recordings(folder / "dev", tested)
    indices = (folder / name / "index.json" for name in ("train", "dev"))
    mark = fingerprint([vars(recipe), vars(DESIGN), about, code_of(Path(__file__))], indices)
    scratch = Scratch(f"teacher-{mark}")
    with joined() as world:
        teacher, history, _ = train(
            recipe,
            partial(_build, recipe, backbone),
            recordings=recordings,
            dev=dev,
            scratch=scratch,
            world=world,
            cures=lambda times: _smaller(recipe, times),
        )
    best = max(history, key=lambda each: each["dev_cc"])
    fitted = fit_to(teacher, dev, sigma_px=recordings.sigma_px)
    scored, _ = score_set(
        teacher, folder / "val", size=tested.image_size, batch_size=BATCH_SIZE, examples=0
    )
    held_out: dict[str, Any] = {name: each.means() for name, each in scored.items()}
    if have_two_observers(Shards(folder / "val")):
        half = float(np.mean(list(score_halves(folder / "val", splits=SPLITS, seed=recipe.seed))))
        held_out["split_half"] = {"cc": half, "cc_all_observers": spearman_brown(half)}
    test = paired_t(*(each.values[:, SCORES.index("cc")] for each in scored.values()))
    gap = {"mean": test.difference, "se": test.se, "t": test.t, "p": test.p}
    with replacing(out) as aside:
        config = header(teacher, recordings, fitted_sigma_px=fitted)
        write_weights(aside, teacher, config | about)
    write_rows(out.with_suffix(".csv"), history, columns=list(best))
    scratch.clear()
    return {
        **about,
        "epoch": best["epoch"],
        "dev_cc": best["dev_cc"],
        "val": held_out,
        "cc_above_prior": {key: value for key, value in gap.items() if value is not None},
    }


def _smaller(recipe: Recipe, times: float) -> list[str]:
    """What to set so that images have so many times fewer pixels."""
    side = int(max(recipe.image_size) / times**0.5) // STRIDE * STRIDE
    return [f"--side to {side}"] if side >= STRIDE else []
