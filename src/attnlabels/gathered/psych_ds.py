"""What describes a folder of data to people and programs: Psych-DS's files (psychds-docs, 1.x).

A folder has `dataset_description.json`, of schema.org's Dataset, that lists the variables of its
tables, which are `data/<keyword>-<value>[_...]_data.csv`; and a README.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from attnlabels.gathered.choosing import Chosen
from attnlabels.gathered.painted import by_image
from attnlabels.pipeline.writing import write_rows

IMAGES = {
    "image": "the image's path below the folder of images",
    "class": "the image's class",
    "width": "pixels",
    "height": "pixels",
    "sha256": "of the image's file, which was the same when this was written",
    "rounds": "that count",
    "players": "of these",
}


def write_images(folder: Path, chosen: Chosen) -> None:
    """The images that the rounds are of, with their checksums, as a table."""
    rows = [
        {
            "image": image.path,
            "class": image.label,
            "width": image.width,
            "height": image.height,
            "sha256": image.sha256,
            "rounds": len(rounds),
            "players": len({each.round.participant for each in rounds}),
        }
        for image, rounds in by_image(chosen.rounds)
    ]
    path = folder / "data" / "description-images_data.csv"
    path.parent.mkdir(exist_ok=True)
    write_rows(path, rows, columns=[*IMAGES])


def write_description(
    folder: Path, chosen: Chosen, *, form: str, about: str, variables: Mapping[str, str]
) -> None:
    """The description and the README of an export; `about` says what its files are."""
    study = chosen.study
    name = study.folder.resolve().name
    last = max(each.round.finished for each in chosen.rounds)
    summary = (
        f"Where {len(chosen.players)} people pointed in {len(by_image(chosen.rounds))} images, "
        f"collected in a browser with `attnlabels collect`, exported as {form}."
    )
    apps = sorted({each.app for each in study.participants.values()})
    description = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": name,
        "description": summary,
        "version": last,
        "measurementTechnique": [*dict.fromkeys(each.round.task for each in chosen.rounds)],
        "creator": [f"attnlabels {each}" for each in apps],
        "variableMeasured": [
            {"@type": "PropertyValue", "name": key, "description": text}
            for key, text in (IMAGES | dict(variables)).items()
        ],
    }
    text = json.dumps(description, indent=2, ensure_ascii=False)
    (folder / "dataset_description.json").write_text(text + "\n")
    (folder / "README.md").write_text(_readme(name, summary, about, chosen.told()))


def _readme(name: str, summary: str, about: str, counts: Sequence[str]) -> str:
    lines = "\n".join(f"- {each}" for each in counts)
    return f"""# {name}

{summary} Places are in pixels of the images, from the left and the top edge of the first one. The
images are not part of this; `data/description-images_data.csv` has their checksums. The columns are
described in `dataset_description.json` (Psych-DS).

{about}

## What counts

{lines}
"""
