"""Do maps by a teacher that saw no class help GALA, on photographs? The table of docs/gala.md.

    PYTHONPATH=src python benchmarks/bottom_up_maps.py IMAGENETTE COCO OUT [--quick]

IMAGENETTE has class folders in `train` and `val`, COCO photographs in `images` and masks of their
objects in `masks`. The released teacher labels IMAGENETTE with maps of where people look whatever
the class; rows of `stages/clickme/params.yaml` are trained on these, with three seeds each, by the
stage's own script, and scored on `val` (errors; how the attention and the gradient of the true
class go with the teacher's maps) and on COCO (IoU with objects; the gradient is of the class that
the network decides for). OUT, a folder, gets all of it, and `tables`. A training takes about two
minutes of one core, all some 40; what was cut off goes on. `--quick`: two epochs,
to see that all runs.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from ratios import machine
from stages import ROOT, keep_params, stage

from attnlabels import Drawing, label
from attnlabels.images.decoding import read_image, resize_map
from attnlabels.images.squares import resize_centre_crop
from attnlabels.interpretation.frozen import Frozen, open_classifier
from attnlabels.interpretation.likeness import errors
from attnlabels.interpretation.looking import classify, read_network
from attnlabels.interpretation.overlap import chance, iou_of_mask_size
from attnlabels.interpretation.people import read_cut_mask, read_squares
from attnlabels.interpretation.smoothgrad import Manner
from attnlabels.metrics.ranks import spearman
from attnlabels.metrics.statistics import mean_se
from attnlabels.pipeline.params import read
from attnlabels.recordings.density import centre_prior
from attnlabels.reporting.tables import Row, Table, write_tables
from attnlabels.shards.shards import Shards
from attnlabels.studies.likeness import Scored, contrast

STUDY = ROOT / "stages" / "clickme" / "params.yaml"
ROWS = ("resnet", "gala", "gala_maps", "gala_shuffled", "features_maps", "side_head_maps")
PAIRS = (
    ("gala", "resnet"),
    ("gala_maps", "gala"),
    ("gala_maps", "gala_shuffled"),
    ("gala_maps", "side_head_maps"),
    ("gala_maps", "features_maps"),
    ("side_head_maps", "resnet"),
)
SHOWN = {
    "top-1 error": "top1_error",
    "rho attention": "attention_last.rho",
    "rho gradient": "smoothgrad.rho",
    "IoU object": "attention_last.iou_object",
    "gradient IoU object": "smoothgrad.iou_object",
}
TESTED = ("top-1 error", "rho attention", "rho gradient", "IoU object")
SIDE, EPOCHS, SEEDS, LOOKED_AT = 48, 6, (0, 1, 2), 200
LEVEL, PERMUTATIONS = 0.95, 10_000
MANNER = Manner(level=0.15, order="absolute_first", channels="max", chunk=4)
COPIES = 16  # of SmoothGrad
BATCH = 50


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--quick"]
    if len(words) != 3:
        raise SystemExit(__doc__)
    imagenette, coco, out = (Path(word).resolve() for word in words)
    for needed in (imagenette / "train", imagenette / "val", coco / "images", coco / "masks"):
        if not needed.is_dir():
            raise SystemExit(f"{needed}: no such folder; see the head of this script")
    torch.set_num_threads(1)
    quick = "--quick" in sys.argv
    seeds, epochs = (SEEDS[:2], 2) if quick else (SEEDS, EPOCHS)
    prepare(imagenette, out, epochs=epochs)
    masks = write_masks(coco, out / "masks")
    scored = {name: score(name, seeds, coco, masks, imagenette, out) for name in ROWS}
    found, folder = tables(scored), out / "tables"
    folder.mkdir(exist_ok=True)
    about = f"Means over {len(seeds)} seeds. {machine()}"
    write_tables(folder, found, texts=dict.fromkeys(found, ("", about)))
    for key in found:
        print(f"{key}\n\n{(folder / f'{key}.md').read_text()}")


def prepare(imagenette: Path, out: Path, *, epochs: int) -> None:
    """The teacher's labels of both splits, the controls, the parameters, and the list of runs."""
    out.mkdir(parents=True, exist_ok=True)
    write_params(imagenette, out, epochs=epochs)
    for split in ("train", "val"):
        if not (out / split).exists():
            drawing = Drawing(map_size=SIDE)
            label(imagenette / split, out=out / split, classes=True, drawing=drawing)
    if not (out / "shuffled").exists():
        stage(out, "relabel_images", "shuffled", "train", "none", "shuffled")
    stage(out, "list_images", "val", "val.csv")
    stage(out, "list_runs", "clickme", "runs")


def write_params(imagenette: Path, out: Path, *, epochs: int) -> None:
    """The study's parameters, with the labels, the size and the epochs of this comparison."""
    tree = read(STUDY)
    rows = {name: tree["clickme"][name] for name in ROWS}
    for name, row in rows.items():
        row |= {"labels": "shuffled" if name == "gala_shuffled" else "train", "map_size": SIDE}
    classes = sum(each.is_dir() for each in (imagenette / "train").iterdir())
    val = {"images": str(imagenette / "val"), "witness": str(imagenette / "val")}
    params = {
        "threads": 1,
        "relabel_images": {"shuffled": tree["relabel_images"]["shuffled"] | {"given": "none"}},
        "list_images": {"val": val | {"classes": classes, "count": None}},
        "clickme": rows,
        "train_supervised": tree["train_supervised"] | {"image_size": SIDE, "epochs": epochs},
    }
    keep_params(out, params)


def write_masks(coco: Path, folder: Path) -> list[str]:
    """Masks of all objects of a photograph together; the names of those that have any."""
    folder.mkdir(exist_ok=True)
    names = []
    for path in sorted((coco / "masks").glob("*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise SystemExit(f"{path}: not a readable PNG; fetch it again")
        if mask.any():
            cv2.imwrite(str(folder / path.name), 255 * (mask > 0).astype(np.uint8))
            names.append(f"{path.stem}.jpg")
    return names


def score(
    name: str, seeds: tuple[int, ...], coco: Path, masks: list[str], imagenette: Path, out: Path
) -> Scored:
    """A run's scores on all images, for each seed; it is trained if it was not yet."""
    frames = []
    for seed in seeds:
        run = f"{name}-{seed}"
        if not (out / f"{run}.json").exists():
            listed, outs = f"runs/{name}.json", [f"{run}.{end}" for end in ("st", "csv", "json")]
            stage(out, "train_supervised", listed, seed, imagenette / "val", "val.csv", *outs)
        shards = Shards(out / "val")
        frozen = open_classifier(out / f"{run}.st", n_classes=len(shards.classes))
        rows = [*on_val(frozen, shards), *on_coco(frozen, coco / "images", out / "masks", masks)]
        frames.append(pd.DataFrame(rows))
    means = {seed: frame.mean().add_suffix(".mean") for seed, frame in zip(seeds, frames)}
    averaged = pd.DataFrame(sum(frames) / len(frames))
    return Scored(pd.DataFrame(means).T, averaged, {})


def on_val(frozen: Frozen, shards: Shards) -> Iterator[dict[str, float]]:
    """Each image's error; of some of them how its maps go with the teacher's."""
    classified = classify(frozen, shards, batch_size=BATCH)
    rows = [row for logits, classes in classified for row in errors(logits, classes)]
    chosen = np.random.default_rng(0).permutation(len(shards))[:LOOKED_AT]
    prior = centre_prior(SIDE, SIDE)
    for first in range(0, len(chosen), BATCH):
        numbers = chosen[first : first + BATCH].tolist()
        images = read_squares(shards, numbers, size=frozen.size, crop=frozen.crop)
        maps = look(frozen, images, shards.labels[numbers], first=first)
        for k, i in enumerate(numbers):
            teacher = shards[i]["map"].astype(np.float64)
            for key, map in {
                **{key: each[k] for key, each in maps.items()},
                "prior": prior,
            }.items():
                resized = resize_map(map.astype(np.float64), *teacher.shape)
                rows[i][f"{key}.rho"] = spearman(resized, teacher)
    yield from rows


def on_coco(
    frozen: Frozen, images: Path, folder: Path, names: list[str]
) -> Iterator[dict[str, float]]:
    """How each photograph's maps overlap with its objects, beside chance and a centre prior."""
    prior = centre_prior(SIDE, SIDE)
    for first in range(0, len(names), BATCH):
        some = names[first : first + BATCH]
        photographs = [read_image(images / name) for name in some]
        squares = np.stack(
            [resize_centre_crop(each, size=frozen.size, crop=frozen.crop) for each in photographs]
        )
        decided = frozen.see(squares).logits.argmax(axis=1)
        maps = look(frozen, squares, decided, first=first)
        for k, name in enumerate(some):
            size = photographs[k].shape[:2]
            mask = read_cut_mask(folder, name, size=size, crop=frozen.crop)
            own = {f"{key}.iou_object": iou_of_mask_size(map[k], mask) for key, map in maps.items()}
            yield own | {"prior.iou_object": iou_of_mask_size(prior, mask), "chance": chance(mask)}


def look(
    frozen: Frozen, images: np.ndarray, classes: np.ndarray, *, first: int
) -> dict[str, np.ndarray]:
    found = read_network(frozen, images, classes, manner=MANNER, count=COPIES, seed=0, first=first)
    return {key: found.maps[key] for key in ("smoothgrad", "attention_last")}


def tables(scored: Mapping[str, Scored]) -> dict[str, Table]:
    """Means over seeds; then what each pair differs by, over seeds and over images."""
    first = scored[ROWS[0]]
    controls = {
        "centre_prior": {"rho attention": "prior.rho", "IoU object": "prior.iou_object"},
        "chance": {"IoU object": "chance"},
    }
    networks = {name: means(each, SHOWN) for name, each in scored.items()}
    networks |= {name: means(first, columns) for name, columns in controls.items()}
    how = {"level": LEVEL, "permutations": PERMUTATIONS, "seed": 0}
    pairs = {each: contrast(SHOWN[each], scored, PAIRS, **how) for each in TESTED}
    return {"networks": networks, **pairs}


def means(scored: Scored, columns: Mapping[str, str]) -> Row:
    return {key: mean_se(scored.seeds[f"{path}.mean"].to_numpy()) for key, path in columns.items()}


if __name__ == "__main__":
    main()
