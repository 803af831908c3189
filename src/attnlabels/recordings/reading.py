"""Read recordings of people in whichever of the known layouts they come."""

from pathlib import Path
from typing import Literal, NamedTuple

from attnlabels.recordings.fixation_csv import Reading, read_csv
from attnlabels.recordings.osie import read_eye, read_mouse
from attnlabels.recordings.points import Outside, Recording, merge_files
from attnlabels.recordings.salicon import read_json, read_mat

TABLES = (".csv", ".tsv", ".txt", ".xls")  # SR Research's Data Viewer calls its text .xls

Layout = Literal["salicon_json", "salicon_mat", "osie_mat", "osie_mouse"]
Points = Literal["fixations", "location"]


class Found(NamedTuple):
    """The recordings of one's own, one a photograph, and what was left out or joined."""

    recordings: list[Recording]
    skipped: list[str]  # images
    points: dict[str, int]  # counts: used, lost, dropped and clipped
    n_merged: int  # names that are another's photograph


def read_recordings(data: Path, images: Path, reading: Reading) -> Found:
    """The recordings in a table of points, SALICON's JSON or a folder of SALICON's MAT files.

    `images` is the folder of the photographs. Raises ValueError or OSError for what does not fit.
    """
    if not images.is_dir():
        raise FileNotFoundError(f"{images}: no such folder; say where the photographs are")
    skipped: list[str] = []
    n_lost = 0
    if data.is_dir():
        recordings = read_mat(data, points="fixations", outside=reading.outside)
    elif data.suffix.lower() == ".json":
        recordings = read_json(data, outside=reading.outside)
    elif data.suffix.lower() in TABLES:
        recordings, skipped, n_lost = read_csv(data, images, reading)
    else:
        raise ValueError(
            f"{data}: expected a table of points ({', '.join(TABLES)}), a .json file in SALICON's "
            "layout or a folder of its .mat files"
        )
    recordings = merge_files(recordings, images)
    points = {
        "used": sum(len(each.points) for each in recordings),
        "lost": n_lost,
        "dropped": sum(each.n_dropped for each in recordings),
        "clipped": sum(each.n_clipped for each in recordings),
    }
    return Found(recordings, skipped, points, sum(each.n_names - 1 for each in recordings))


def read_published(
    annotations: Path, images: Path, *, layout: Layout, points: Points, outside: Outside
) -> list[Recording]:
    """The recordings of a data set as it is published, one a photograph of the folder `images`.

    `points` "location", the raw samples, are those of `salicon_mat` alone.
    """
    match layout:
        case "salicon_json":
            recordings = read_json(annotations, outside=outside)
        case "salicon_mat":
            recordings = read_mat(annotations, points=points, outside=outside)
        case "osie_mat":
            recordings = read_eye(annotations, outside=outside)
        case "osie_mouse":
            recordings = read_mouse(annotations, outside=outside)
    return merge_files(recordings, images)
