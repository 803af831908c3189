"""Take a part of a data set out of its archive as it is published.

    python src/unpack_images.py SET ARCHIVE OUT

SET is a row of `unpack_images` in params.yaml; ARCHIVE is a tar, compressed or not, or the folder
that it was unpacked to. Of class folders (imagenette) some images of each class are kept, chosen by
a checksum of their names; of CIFAR-10 the first rows of each file. The same part comes out of any
copy, and OUT has the archive's layout: `<split>/<class>/<file>`, or batch files with fewer rows.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.testsets.archives import unpack_classes
from attnlabels.testsets.cifar10 import BATCHES, write_first_rows

Amount = Annotated[int, Field(ge=1)]


@record
class UnpackImages:
    """A row of the section `unpack_images` of params.yaml."""

    archive: str  # given to this script by dvc.yaml
    layout: Literal["class_folders", "cifar10"]
    # By split: how many images of each class, or rows of each of CIFAR-10's files; null: all.
    take: Annotated[dict[str, Amount | None], Field(min_length=1)]


def main(name: str, archive: Path, out: Path) -> None:
    p = load(UnpackImages, "unpack_images", name)
    if p.layout == "cifar10" and p.take.keys() - BATCHES:
        raise ValueError(
            f"params.yaml: unpack_images.{name}.take names {', '.join(p.take)}; CIFAR-10 has "
            f"{' and '.join(BATCHES)}"
        )
    unpack = {"class_folders": unpack_classes, "cifar10": write_first_rows}[p.layout]
    with replacing_folder(out) as aside:
        counts = unpack(archive, aside, p.take)
    print(f"{name}: " + ", ".join(f"{count} images in {split}" for split, count in counts.items()))


if __name__ == "__main__":
    run(main)
