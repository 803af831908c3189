"""Salient objects on photographs, the released teacher in place of people, as stages/tasks asks.

    PYTHONPATH=src python benchmarks/salient_photographs.py COCO OUT [--quick]

COCO has photographs in `images` and masks of their objects, of any value above 0, in `masks`; those
without any object are left out and counted. In each of four folds of the photographs the runs of
`stages/tasks` (segmentation) are trained on the others by the stage's own script, for sixty epochs
at 64 px, and scored on these; λ is chosen on a fifth of those trained on. OUT, a folder, gets all
of it, with the study's tables, figure and page; what was cut off goes on. A fold takes a few
minutes of one core. `--quick`: two folds and epochs, to see that all runs.
"""

import sys
from pathlib import Path

from ratios import machine
from stages import ROOT, keep_params, stage

from attnlabels import Drawing, label
from attnlabels.images.decoding import read_size
from attnlabels.pipeline.params import read
from attnlabels.tasks.segmentation import read_mask

STUDY = ROOT / "stages" / "tasks" / "params.yaml"
TASK, PEOPLE = "segmentation", "people"
SIDE, FOLDS, EPOCHS = 64, 4, 60


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--quick"]
    if len(words) != 2:
        raise SystemExit(__doc__)
    coco, out = (Path(word).resolve() for word in words)
    for needed in (coco / "images", coco / "masks"):
        if not needed.is_dir():
            raise SystemExit(f"{needed}: no such folder; see the head of this script")
    folds, epochs = (2, 2) if "--quick" in sys.argv else (FOLDS, EPOCHS)
    out.mkdir(parents=True, exist_ok=True)
    write_params(coco, out, folds=folds, epochs=epochs)
    names, left_out = usable(coco)
    for fold in range(folds):
        prepare(coco, names, out, fold=fold, folds=folds)
        if not (out / f"runs/{TASK}-{fold}").exists():
            outs = [f"{kind}/{TASK}-{fold}" for kind in ("networks", "examples", "runs")]
            stage(out, "train_tasks", TASK, fold, f"fold-{fold}", *outs)
    stage(out, "compare_tasks", "runs", "examples", "tables", "report.json", "report.html")
    print(f"{len(names)} photographs, {left_out} left out. {machine()}\n")
    for path in sorted((out / "tables").glob("*.md")):
        print(path.read_text())


def write_params(coco: Path, out: Path, *, folds: int, epochs: int) -> None:
    """The study's parameters, with the masks, the size, the epochs and the folds of this one."""
    tree = read(STUDY)
    setting = tree["tasks"][TASK] | {"masks": str(coco / "masks"), "size": SIDE}
    params = {
        "threads": tree["threads"],
        "tasks": {TASK: setting},
        "study_seeds": [*range(folds)],
        "train_tasks": tree["train_tasks"] | {"epochs": epochs},
        "compare_tasks": tree["compare_tasks"],
    }
    keep_params(out, params)


def usable(coco: Path) -> tuple[list[Path], int]:
    """The photographs on which there are objects, and how many are left out."""
    found, left_out = [], 0
    for path in sorted((coco / "images").iterdir()):
        size = read_size(path.read_bytes(), name=str(path))
        try:
            read_mask(coco / "masks" / f"{path.stem}.png", size, side=SIDE)
        except ValueError as error:
            print(error, file=sys.stderr)
            left_out += 1
        else:
            found.append(path)
    return found, left_out


def prepare(coco: Path, photographs: list[Path], out: Path, *, fold: int, folds: int) -> None:
    """The teacher's labels of the photographs of a fold, and of the others."""
    parts = {"test": photographs[fold::folds]}
    parts["train"] = [path for path in photographs if path not in parts["test"]]
    for split, paths in parts.items():
        images, shards = (out / f"fold-{fold}" / f"{split}_{each}" for each in ("images", PEOPLE))
        images.mkdir(parents=True, exist_ok=True)
        for path in paths:
            link = images / path.name
            if not link.exists():
                link.symlink_to(path)
        if not shards.exists():
            label(images, out=shards, drawing=Drawing(map_size=SIDE))


if __name__ == "__main__":
    main()
