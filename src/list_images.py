"""List a folder of class folders as CSV: the list, not the folder, is what later stages watch.

    python src/list_images.py SET OUT.csv

SET is a row of `list_images` in params.yaml. A pipeline that hashed the 1.3 million files of
ImageNet would take hours; this reads names and sizes only, in seconds. DVC runs it again when
the row's `witness` changes.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from attnlabels.images.folder import list_images, write_manifest
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing

Amount = Annotated[int, Field(ge=1)]


@record
class ListImages:
    images: str  # the folder of class folders
    witness: str  # what changes whenever the images do; watched in dvc.yaml
    classes: Amount
    count: Amount | None  # of images; null: any number


def main(name: str, out: Path) -> None:
    p = load(ListImages, "list_images", name)
    if not Path(p.witness).exists():
        raise FileNotFoundError(
            f"{p.witness}: not here; put the data set there, or mend "
            f"list_images.{name}.witness in params.yaml"
        )
    manifest = list_images(Path(p.images), classes=p.classes)
    if p.count is not None and len(manifest.paths) != p.count:
        raise ValueError(
            f"{p.images}: {len(manifest.paths)} images found, {p.count} declared; complete the "
            f"folder, or mend list_images.{name}.count in params.yaml"
        )
    with replacing(out) as aside:
        write_manifest(aside, manifest)


if __name__ == "__main__":
    run(main)
