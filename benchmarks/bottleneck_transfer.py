"""AIB on small photographs: what it learns of a set of them, and what that is good for on another.

    PYTHONPATH=src python benchmarks/bottleneck_transfer.py choose CIFAR10 IMAGENETTE OUT
    PYTHONPATH=src python benchmarks/bottleneck_transfer.py train CIFAR10 IMAGENETTE OUT [RUN ...]

CIFAR10 holds CIFAR-10's batch files, as many rows of them as there are, IMAGENETTE class folders in
`train` and `val`; all images are resized to 32 px and get the released teacher's labels. The rows
of bottleneck_transfer.yaml are trained on each of the two sets by the stage's own script, and
scored on its test images; then a linear classifier of the frozen network's last features, and of
its code, is learnt from the other set's training images and scored on its test images. `choose`
tries learning rates on images of CIFAR-10 held out, with the row that has neither mask nor
bottleneck, for the yaml to have the best. OUT, a folder, gets all of it and what was cut off goes
on; several may share it if their RUNs are not the same, once one has made the sets (RUN `none`).
"""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ratios import machine
from stages import keep_params, stage

from attnlabels import Drawing, label
from attnlabels.bottleneck.frozen import open_network
from attnlabels.bottleneck.sets import Labelled, read_folders
from attnlabels.bottleneck.transfer import Transfer, score_transfer
from attnlabels.images.squares import resize_square
from attnlabels.metrics.statistics import Mean, mean_se
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import check, read
from attnlabels.pipeline.writing import replacing_folder, write_metrics
from attnlabels.reporting.tables import Table, write_tables
from attnlabels.testsets.cifar10 import CLASSES, read_cifar10

PARAMS = read(Path(__file__).with_suffix(".yaml"))
SETS = ("cifar10", "imagenette")
SIDE = 32
N_CLASSES, BATCH = 10, 200
PAIRS = (
    *(("mask", "plain"), ("drawn", "mask"), ("aib", "plain"), ("aib", "mask"), ("aib", "drawn")),
    *(("aib_1e_2", "aib"), ("aib_quantised", "aib"), ("aib_guided", "aib")),
    *(("aib_side", "aib"), ("aib_guided", "aib_side")),
    *(("aib_shuffled", "aib"), ("aib_guided", "aib_shuffled")),
    *(("vgg_aib", "vgg"), ("wrn_aib", "wrn")),
)
SCORES = {
    "top1": "accuracy",
    "code_bits": "bits of the code",
    "features": "features, other set",
    "code": "code, other set",
}


def main(words: list[str]) -> None:
    if len(words) < 4 or words[0] not in ("choose", "train"):
        raise SystemExit(__doc__)
    action, (cifar10, imagenette, out) = words[0], (Path(word).resolve() for word in words[1:4])
    rows, seeds = PARAMS["bottleneck"], PARAMS["seeds"]
    if unknown := {*words[4:]} - {*rows, "none"}:
        raise SystemExit(f"{min(unknown)}: no run; expected some of {', '.join(rows)}, or none")
    try:
        prepare(cifar10, imagenette, out)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    if action == "choose":
        return choose(out)
    for seed in seeds:
        for run in words[4:] or PARAMS["default"]:
            for name in SETS if run != "none" else ():
                train(out, name, run, seed)
    tell(out)


def prepare(cifar10: Path, imagenette: Path, out: Path) -> None:
    """Both sets as class folders of `train` and `test`; of the former the teacher's labels, and
    those of other images."""
    for name, folder in zip(SETS, (cifar10, imagenette)):
        if not (out / name).exists():
            with replacing_folder(out / name) as aside:
                for split in ("train", "test"):
                    write_folders(aside / split, *read_resized(name, folder, split))
        if not (out / f"{name}_labels").exists():
            drawing = Drawing(map_size=SIDE)
            label(out / name / "train", out=out / f"{name}_labels", classes=True, drawing=drawing)
        if not (out / f"{name}_shuffled").exists():
            keep_params(out, {key: PARAMS[key] for key in ("threads", "relabel_images")})
            stage(out, "relabel_images", "shuffled", f"{name}_labels", "none", f"{name}_shuffled")


def read_resized(name: str, folder: Path, split: Any) -> tuple[Labelled, list[str]]:
    """A split's images and labels, and the names of its classes."""
    if name == "cifar10":
        return read_cifar10(folder, split=split), [*CLASSES]
    images, labels = read_folders(folder, split)
    classes = sorted(each.name for each in (folder / "train").iterdir() if each.is_dir())
    return (np.stack([resize_square(each, size=SIDE) for each in images]), labels), classes


def write_folders(folder: Path, labelled: Labelled, classes: list[str]) -> None:
    for i, (image, of) in enumerate(zip(*labelled)):
        path = folder / classes[of] / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])


def choose(out: Path) -> None:
    """The accuracy on images held out, by learning rate."""
    about = PARAMS["choosing"]
    found = {
        rate: train(
            out,
            SETS[0],
            about["row"],
            about["seed"],
            beside=f"choosing/{rate:g}",
            learning_rate=rate,
            development=about["development"],
        )
        for rate in PARAMS["rates"]
    }
    print(machine(), json.dumps(found, indent=1))


def train(out: Path, name: str, run: str, seed: int, *, beside: str = "", **changes: Any) -> float:
    """Train on a set, score it, and score it on the other; its accuracy."""
    folder = out / (beside or f"runs/{name}/{run}-{seed}")
    report, transfer = folder / "train.json", folder / "transfer.json"
    other = out / next(each for each in SETS if each != name)
    folder.mkdir(parents=True, exist_ok=True)
    tree = {key: PARAMS[key] for key in ("threads", "train_bottleneck")}
    row = PARAMS["bottleneck"][run]
    tree["bottleneck"] = {run: row | {"labels": str(out / row["labels"].replace(SETS[0], name))}}
    tree["train_bottleneck"] |= changes
    tested = out / name / "test"
    tree["list_images"] = {
        "test": {"images": str(tested), "witness": str(tested), "classes": N_CLASSES, "count": None}
    }
    keep_params(folder, tree)
    if not report.exists():
        stage(folder, "list_images", "test", "test.csv")
        stage(folder, "list_runs", "bottleneck", "listed")
        made = ("network.safetensors", "curve.csv", report)
        stage(folder, "train_bottleneck", f"listed/{run}.json", seed, tested, "test.csv", *made)
    if not beside and not transfer.exists():
        threads = take_threads(folder / "params.yaml")
        frozen = open_network(folder / "network.safetensors", n_classes=N_CLASSES)
        p = check(Transfer, {"set": str(other), **PARAMS["transfer"]}, where="transfer")
        write_metrics(transfer, score_transfer(frozen, other, p, batch_size=BATCH), threads=threads)
    probe = json.loads(report.read_text())["probe"]
    return float(probe.get("top1", probe.get("development_top1")))


def tell(out: Path) -> None:
    """Tables of all that was trained, and of differences within seeds."""
    tables: dict[str, Table] = {}
    for name in SETS:
        found: dict[str, dict[int, dict[str, float]]] = {}
        for folder in sorted((out / "runs" / name).glob("*-*")):
            run, _, seed = folder.name.rpartition("-")
            if (folder / "transfer.json").exists():
                found.setdefault(run, {})[int(seed)] = scores_of(folder)
        rows = [run for run in PARAMS["bottleneck"] if run in found]
        tables[name] = {run: means([*found[run].values()]) for run in rows}
        tables[f"{name}_differences"] = {
            f"{one} - {other}": means(
                [less(found[one][seed], found[other][seed]) for seed in found[one]]
            )
            for one, other in PAIRS
            if one in found and found[one].keys() == found.get(other, {}).keys()
        }
    texts = {key: (key.replace("_", ": "), "Means over seeds, ± their errors.") for key in tables}
    tables = {key: table for key, table in tables.items() if table}
    (out / "tables").mkdir(exist_ok=True)
    write_tables(out / "tables", tables, texts=texts)
    print(machine())
    for path in sorted((out / "tables").glob("*.md")):
        print(f"\n{path.stem}\n\n{path.read_text()}")


def scores_of(folder: Path) -> dict[str, float]:
    report, transfer = (
        json.loads((folder / name).read_text()) for name in ("train.json", "transfer.json")
    )
    bits = {key: value for key, value in report["loss"].items() if key == "code_bits"}
    return {"top1": report["probe"]["top1"], **bits} | {
        of: transfer[of]["top1"] for of in ("features", "code")
    }


def less(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {key: one[key] - other[key] for key in one if key in other}


def means(runs: list[dict[str, float]]) -> dict[str, Mean]:
    return {SCORES[key]: mean_se(np.array([each[key] for each in runs])) for key in runs[0]}


if __name__ == "__main__":
    main(sys.argv[1:])
