"""Let the teacher label every image with a map and pseudo fixations (paper §3.3, ImageNet-Attn).

    python src/label_images.py TEACHER IMAGES MANIFEST RECORDINGS SHARDS EXAMPLES

Writes webdataset shards that hold the original image bytes, the map, the points and the label.
Two runs write the same bytes. EXAMPLES are the labels of a few images of RECORDINGS, shards of
people's attention, so that one may look at both.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int16, UInt8
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.datasets.image_folder import Manifest, read_manifest
from attnlabels.datasets.images import decode, resize
from attnlabels.datasets.shards import Sample, Shards, ShardWriter
from attnlabels.models.files import load_weights, read_config
from attnlabels.models.pseudo_fixations import pseudo_fixations
from attnlabels.models.teacher import Teacher
from attnlabels.params import load, record
from attnlabels.report import replacing
from attnlabels.script import run

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]


@record
class LabelImages:
    """The section `label_images` of params.yaml."""

    image_size: tuple[Count, Count]
    map_size: Count
    sigma_px: Positive
    sigma_width: Count
    threshold: Annotated[float, Field(gt=0, le=1)]
    maximum_points: Count
    mirror: bool
    broken: Literal["stop", "skip"]
    batch_size: Count
    precision: Literal["fp32", "bf16"]
    workers: Annotated[int, Field(ge=0)]
    shard_size: Count
    examples: Count


def main(
    weights: Path, images: Path, manifest: Path, recordings: Path, shards: Path, examples: Path
) -> None:
    p = load(LabelImages, "label_images")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = Teacher(**read_config(weights, "teacher")["teacher"])
    load_weights(weights, teacher)
    teacher.eval().to(device).to(memory_format=torch.channels_last)
    listed, people = read_manifest(manifest), Shards(recordings)
    drawn_by = {"kind": "teacher", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    with (
        replacing(shards) as aside,
        ShardWriter(
            aside, maximum_count=p.shard_size, maps_by=drawn_by, classes=listed.classes
        ) as writer,
    ):
        for batch in tqdm(batches(images, listed, p), desc="labelling", disable=None):
            for broken in (each for each in batch if each.error):
                cure = "mend or remove the file and list the images again"
                leave_out(writer, broken.name, f"{broken.error}; {cure}", p=p)
            whole = [each for each in batch if not each.error]
            if not whole:
                continue
            pixels = np.stack([each.pixels for each in whole])
            maps, points, counts = label(teacher, pixels, p=p, device=device)
            for i, each in enumerate(whole):
                if not counts[i]:
                    flat = f"{images / each.name}: the teacher's map is the same everywhere"
                    leave_out(writer, each.name, f"{flat}; train the teacher again", p=p)
                    continue
                writer.write(Sample(
                    key=each.name.rsplit(".", 1)[0].replace("/", "-").replace(".", "_"),
                    image=each.data,
                    map=maps[i].numpy(),
                    points=points[i, : counts[i]].numpy(),
                    observers=None,
                    label=each.label,
                    grid=(p.map_size, p.map_size),
                    image_size=each.size,
                    source="teacher",
                    name=each.name,
                ))
    write_examples(examples, people, teacher, p=p, device=device)


def leave_out(writer: ShardWriter, name: str, why: str, *, p: LabelImages) -> None:
    """Count an image that gets no label, or stop at it, as the parameter `broken` says."""
    if p.broken == "stop":
        raise ValueError(f"{why}, or set label_images.broken to skip")
    writer.skip(name)


class Photograph(NamedTuple):
    """An image file, and its pixels at the teacher's input size or what is wrong with it."""

    name: str
    data: bytes
    pixels: np.ndarray
    size: tuple[int, int]
    label: int
    error: str


class Photographs(Dataset[Photograph]):
    """The files of a manifest, in its order."""

    def __init__(self, images: Path, listed: Manifest, size: tuple[int, int]) -> None:
        self.images, self.listed, self.size = images, listed, size

    def __len__(self) -> int:
        return len(self.listed.paths)

    def __getitem__(self, index: int) -> Photograph:
        name, label = str(self.listed.paths[index]), int(self.listed.labels[index])
        data, error, size = b"", "", (0, 0)
        pixels = np.zeros(0, np.uint8)
        try:
            data = (self.images / name).read_bytes()
            decoded = decode(data, name=str(self.images / name))
            size = (decoded.shape[0], decoded.shape[1])
            pixels = resize(decoded, *self.size)
        except (ValueError, FileNotFoundError) as broken:  # `broken` decides: stop, or skip
            error = str(broken)
        return Photograph(name, data, pixels, size, label, error)


def batches(images: Path, listed: Manifest, p: LabelImages) -> Iterable[list[Photograph]]:
    """The photographs in batches, decoded by `workers` processes, in the manifest's order."""
    cv2.setNumThreads(0)
    loader: DataLoader[Any] = DataLoader(
        Photographs(images, listed, p.image_size),
        batch_size=p.batch_size,
        num_workers=p.workers,
        collate_fn=list,
    )
    return loader


def label(
    teacher: Teacher, pixels: UInt8[np.ndarray, "n h w 3"], *, p: LabelImages, device: torch.device
) -> tuple[Float[Tensor, "n s s"], Int16[Tensor, "n p 2"], Int[Tensor, "n"]]:
    """Maps at `map_size`, their pseudo fixations padded with -1, and how many there are.

    With `mirror`, a map is the mean of the image's and its mirror image's.
    """
    batch = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad(), torch.autocast(
        device.type, torch.bfloat16, enabled=p.precision == "bf16"
    ):
        maps = teacher(batch)
        if p.mirror:
            maps = (maps + teacher(batch.flip(3)).flip(2)) / 2
    if not maps.isfinite().all():
        raise ValueError(
            "the teacher's maps are not finite; train it again, or set label_images.precision to "
            "fp32"
        )
    size = (p.map_size, p.map_size)
    maps = F.interpolate(maps.float().unsqueeze(1), size, mode="area").squeeze(1).cpu()
    points, counts = pseudo_fixations(
        maps,
        sigma_px=p.sigma_px * p.map_size / p.sigma_width,  # the σ of the densities, at this width
        threshold=p.threshold,
        maximum=p.maximum_points,
    )
    return maps, points, counts


def write_examples(
    path: Path, people: Shards, teacher: Teacher, *, p: LabelImages, device: torch.device
) -> None:
    """The first images of `people` with people's maps and with their labels."""
    samples = [people[i] for i in range(min(p.examples, len(people)))]
    images = [decode(each["image"], name=each["name"]) for each in samples]
    pixels = np.stack([resize(each, *p.image_size) for each in images])
    maps, points, _ = label(teacher, pixels, p=p, device=device)
    h, w = samples[0]["map"].shape
    with replacing(path) as aside, open(aside, "wb") as file:
        np.savez(
            file,
            images=np.stack([resize(each, h, w) for each in images]),
            human=np.stack([each["map"] for each in samples]),
            teacher=maps.numpy(),
            points=points.numpy(),
            names=np.array([each["name"] for each in samples]),
        )


if __name__ == "__main__":
    run(main)
