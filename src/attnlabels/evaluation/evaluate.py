"""The benchmarks of the paper for any frozen encoder, as `attnlabels evaluate` runs them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from attnlabels.evaluation.agreement import FrozenStudent, align, refit
from attnlabels.evaluation.extraction import encode_squares, fingerprint, kept_features
from attnlabels.evaluation.features import read_features
from attnlabels.evaluation.frozen import Precision
from attnlabels.evaluation.networks import Normalisation, Source, open_source
from attnlabels.images.folder import Manifest, list_images
from attnlabels.metrics.knn import choose_k, score_knn
from attnlabels.metrics.linear_probe import Probe, choose_probe, top1
from attnlabels.metrics.retrieval import retrieve, split_queries
from attnlabels.metrics.robustness import robustness
from attnlabels.models.files import read_config
from attnlabels.pipeline.writing import write_json, write_rows
from attnlabels.processes.checkpoint import scratch_root
from attnlabels.shards.shards import Shards
from attnlabels.testsets.corruptions import SEVERITIES
from attnlabels.testsets.image_sets import (
    ImageSet,
    Squares,
    cifar10_images,
    corrupted_images,
    generated_images,
    listed_images,
)
from attnlabels.testsets.imagenet_c import open_corrupted

BENCHMARKS = ("probe", "knn", "robustness", "retrieval", "retrieval-c", "alignment")
CURVE = ("set", "corruption", "severity", "k", "precision", "recall")

# ImageNet-C was made of images resized to 256 and cropped to 224, whatever will look at them; and
# CIFAR-10-C of CIFAR-10 as it is.
GENERATED: dict[str, dict[str, Any]] = {
    "imagenet": {"table": "imagenet", "size": 224, "crop": 0.875},
    "cifar10": {"table": "cifar", "size": 32, "crop": 1.0},
}
REFIT: dict[str, Any] = {"n_images": 1000, "steps": 200, "kld_weight": 1.0, "nss_weight": 0.1}


class Opened(NamedTuple):
    """One data set's images to train a classifier on, to test it on, and those corrupted."""

    train: ImageSet | None
    test: ImageSet
    corrupted: ImageSet | None


def evaluate(
    encoder: str,
    *,
    on: Sequence[str],
    out: Path,
    weights: Path | None = None,
    imagenet: Path | None = None,
    imagenet_c: Path | None = None,
    cifar10: Path | None = None,
    cifar10_c: Path | None = None,
    attention: Mapping[str, Path] = {},
    labels: Path | None = None,
    name: str | None = None,
    seed: int = 0,
    size: int | None = None,
    crop: float | None = None,
    normalise: Normalisation | None = None,
    precision: Precision = "fp32",
    batch_size: int = 256,
    workers: int = 0,
    threads: int = 1,
    cache: Path | None = None,
    development: float = 0.2,
    l2: Sequence[float] = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001),
    k: Sequence[int] = (5, 10, 20, 50, 100, 200),
    queries: float = 0.1,
    corrupt_queries_alone: bool = False,
) -> dict[str, dict[str, Any]]:
    """Score a frozen encoder; returns what was written, by stage.

    `encoder` is a checkpoint of ours, an ONNX or TorchScript file that gives features, or
    `timm:NAME` or `torchvision:NAME` with a file of `weights`. `size`, `crop` and `normalise`
    replace what it says of its input.

    `on` names the benchmarks, which are run on each data set that is given: `imagenet`, a folder of
    `train` and `val` in class folders, and `cifar10`, its Python batches. `imagenet_c` and
    `cifar10_c` are the corrupted test images, as published or as arrays; where they are not given
    they are generated with `seed`, and marked so. Alignment is with the human recordings
    `attention`, shards by name, and refits the readout on the teacher's `labels` if there are any.

    Written are `out/<stage>/<name>-<seed>.json` with the keys of the pipeline's metrics. Features
    are kept in `cache` (by default in the user's) and used again while the encoder's and the
    images' files are as they were.

    Raises ValueError or OSError if a file, a name or a combination of them does not fit.
    """
    run = f"{name or _name(encoder)}-{seed}"
    if not on or not {*on} <= {*BENCHMARKS}:
        raise ValueError(
            f"on {', '.join(on) or 'nothing'}: expected one or more of {', '.join(BENCHMARKS)}"
        )
    if Path(run).name != run:
        raise ValueError(f"the name {run!r} is to be part of a file's; leave out what is not")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cv2.setNumThreads(0)
    student = FrozenStudent(_ours(encoder), batch_size=batch_size) if "alignment" in on else None
    if student and not attention:
        raise ValueError("alignment is with recordings of people; give at least one set of shards")
    source = open_source(
        encoder,
        weights=weights,
        size=size,
        crop=crop,
        normalise=normalise,
        device=device,
        precision=precision,
    )
    # All sets are opened, and so checked, before the hours of the first.
    sets = _open_sets(imagenet, imagenet_c, cifar10, cifar10_c, on=on, seed=seed)
    extract = _extractor(
        source,
        cache=cache or default_cache(),
        batch_size=batch_size,
        workers=workers,
        pin_memory=device.type == "cuda",
    )
    written: dict[str, dict[str, Any]] = {"evaluate": _provenance(encoder, source)}
    with threadpool_limits(threads, user_api="blas"):
        if {"probe", "robustness"} & {*on}:
            probes = {
                key: _probe(opened, extract, l2=l2, development=development, seed=seed)
                for key, opened in sets.items()
            }
            written["probe_linear"] = {
                key: probe.score(*read_features(extract(sets[key].test)))
                for key, probe in probes.items()
            }
        if "knn" in on:
            written["probe_knn"] = {
                key: _knn(opened, extract, k=k, development=development, seed=seed)
                for key, opened in sets.items()
            }
        if "robustness" in on:
            written["score_robustness"] = {
                f"{key}_c": _robustness(opened, probes[key], extract, alexnet=key == "imagenet")
                for key, opened in sets.items()
            }
        if {"retrieval", "retrieval-c"} & {*on}:
            written["score_retrieval"], curves = {}, []
            for key, opened in sets.items():
                asked = opened if "retrieval-c" in on else opened._replace(corrupted=None)
                scores, rows = _retrieval(
                    key, asked, extract, share=queries, seed=seed, alone=corrupt_queries_alone
                )
                written["score_retrieval"] |= scores
                curves += rows
            write_rows(out / "score_retrieval" / f"{run}.csv", curves, columns=CURVE)
    if student:
        written["align_attention"] = _alignment(student, attention, labels)
    for stage, tree in written.items():
        write_json(out / stage / f"{run}.json", tree)
    return written


def default_cache() -> Path:
    """`features` in `$ATTNLABELS_SCRATCH`, or in `attnlabels` of the user's cache."""
    return scratch_root() / "features"


def _open_sets(
    imagenet: Path | None,
    imagenet_c: Path | None,
    cifar10: Path | None,
    cifar10_c: Path | None,
    *,
    on: Sequence[str],
    seed: int,
) -> dict[str, Opened]:
    """What the benchmarks `on` need of the sets that are given."""
    of_images = [each for each in on if each != "alignment"]
    needs: dict[str, Any] = {
        "train": bool({*on} & {"probe", "knn", "robustness"}),
        "corrupted": bool({*on} & {"robustness", "retrieval-c"}),
        "seed": seed,
    }
    sets: dict[str, Opened] = {}
    if imagenet and of_images:
        sets["imagenet"] = open_imagenet(imagenet, imagenet_c, **needs)
    if cifar10 and of_images:
        sets["cifar10"] = open_cifar10(cifar10, cifar10_c, **needs)
    if of_images and not sets:
        raise ValueError(f"{', '.join(of_images)}: on which images? give imagenet, cifar10 or both")
    return sets


def open_imagenet(
    folder: Path, imagenet_c: Path | None, *, train: bool, corrupted: bool, seed: int
) -> Opened:
    """The class folders of `folder/train` and `folder/val`, and the latter corrupted."""
    listed = {split: _list(folder / split) for split in (("train", "val") if train else ("val",))}
    classes = {split: each.classes for split, each in listed.items()}
    if train and classes["train"] != classes["val"]:
        unlike = sorted({*classes["train"]} ^ {*classes["val"]})
        raise ValueError(
            f"{folder}: {unlike[0]} is a class folder of only one of train and val; a classifier "
            "needs the same in both"
        )
    sets = {
        split: listed_images(f"imagenet_{split}", folder / split, each)
        for split, each in listed.items()
    }
    spoilt = None
    if corrupted:
        spoilt = _corrupted(
            "imagenet", sets["val"], listed["val"].paths.tolist(), imagenet_c, seed=seed
        )
    return Opened(sets.get("train"), sets["val"], spoilt)


def open_cifar10(
    folder: Path, cifar10_c: Path | None, *, train: bool, corrupted: bool, seed: int
) -> Opened:
    """CIFAR-10's batches, and the test images corrupted."""
    test = cifar10_images(folder, split="test")
    spoilt = None
    if corrupted:
        names = [f"test/{row}" for row in range(len(test.labels))]
        spoilt = _corrupted("cifar10", test, names, cifar10_c, seed=seed)
    return Opened(cifar10_images(folder, split="train") if train else None, test, spoilt)


def _list(folder: Path) -> Manifest:
    n_classes = sum(each.is_dir() for each in folder.iterdir()) if folder.is_dir() else 0
    return list_images(folder, classes=max(1, n_classes))


def _corrupted(
    key: str, clean: ImageSet, names: Sequence[str], folder: Path | None, *, seed: int
) -> ImageSet:
    """The corrupted images in `folder`, of either layout, or generated ones where there is none."""
    name = f"{key}_c"
    if folder is None:
        return generated_images(name, clean, names, seed=seed, **GENERATED[key])
    layout: Literal["arrays", "imagenet_c"] = (
        "arrays" if (folder / "labels.npy").is_file() else "imagenet_c"
    )
    found = corrupted_images(name, open_corrupted(folder, layout=layout))
    if not np.array_equal(found.labels, clean.labels):
        raise ValueError(
            f"{folder}: {len(found.labels)} corrupted images that are not the {len(clean.labels)} "
            f"of {clean.name} in their order; give those that they were made of, or leave the "
            "folder out to generate corruptions"
        )
    return found


def _extractor(
    source: Source, *, cache: Path, batch_size: int, workers: int, pin_memory: bool
) -> Callable[[ImageSet], Path]:
    """A function from a set to the folder of its features, made now or kept from before."""

    def encode(images: ImageSet) -> Any:
        squares = Squares(
            images,
            size=source.view.size,
            crop=source.view.crop if images.crops else 1.0,
            batch_size=batch_size,
            interpolation=source.view.interpolation,
        )
        return encode_squares(squares, source.encode, workers=workers, pin_memory=pin_memory)

    def extract(images: ImageSet) -> Path:
        key = fingerprint(images, source.identity)
        return kept_features(images, encode, folder=cache / f"{images.name}-{key}")

    return extract


def _probe(
    opened: Opened,
    extract: Callable[[ImageSet], Path],
    *,
    l2: Sequence[float],
    development: float,
    seed: int,
) -> Probe:
    return choose_probe(
        *read_features(extract(_given(opened.train))),
        l2=l2,
        development=development,
        tolerance=1e-4,
        maximum_iterations=1000,
        seed=seed,
    )


def _knn(
    opened: Opened,
    extract: Callable[[ImageSet], Path],
    *,
    k: Sequence[int],
    development: float,
    seed: int,
) -> dict[str, Any]:
    x, y = read_features(extract(_given(opened.train)))
    chosen = choose_k(x, y, k=k, development=development, seed=seed)
    return score_knn(chosen, x, y, *read_features(extract(opened.test)))


def _robustness(
    opened: Opened, probe: Probe, extract: Callable[[ImageSet], Path], *, alexnet: bool
) -> dict[str, Any]:
    corrupted = _given(opened.corrupted)
    clean = top1(*read_features(extract(opened.test)), weight=probe.weight, bias=probe.bias)
    folder = extract(corrupted)
    scores: dict[str, dict[int, float]] = {}
    for part in corrupted.parts:
        corruption, severity = part.rsplit("-", 1)
        scores.setdefault(corruption, {})[int(severity)] = top1(
            *read_features(folder, part), weight=probe.weight, bias=probe.bias
        )
    generated = bool(corrupted.about["generated"])
    return robustness(scores, clean=clean, generated=generated, alexnet=alexnet)


def _retrieval(
    key: str,
    opened: Opened,
    extract: Callable[[ImageSet], Path],
    *,
    share: float,
    seed: int,
    alone: bool,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores by set and the rows of the curves; `alone`: corrupted queries ask clean images."""
    clean, labels = read_features(extract(opened.test))
    split = split_queries(len(labels), n_queries=round(share * len(labels)), seed=seed)
    found, curve = retrieve(clean, clean, labels=labels, split=split)
    scores: dict[str, Any] = {key: found}
    rows = [(key, "clean", 0, *point) for point in curve]
    if opened.corrupted:
        folder = extract(opened.corrupted)
        by_corruption: dict[str, dict[str, float]] = {}
        for part in tqdm(opened.corrupted.parts, desc=f"{key}_c", disable=None):
            corruption, severity = part.rsplit("-", 1)
            x, _ = read_features(folder, part)
            found, curve = retrieve(x, clean if alone else x, labels=labels, split=split)
            by_corruption.setdefault(corruption, {})[severity] = found["map"]
            rows += [(key, corruption, int(severity), *point) for point in curve]
        of_set: dict[str, Any] = {
            corruption: {"mean": float(np.mean([each[str(s)] for s in SEVERITIES])), **each}
            for corruption, each in by_corruption.items()
        }
        overall = float(np.mean([each["mean"] for each in of_set.values()]))
        about = {
            "generated": opened.corrupted.about["generated"],
            "queries_alone": int(alone),
        }
        scores[f"{key}_c"] = {**of_set, "map": overall, **about}
    return scores, [dict(zip(CURVE, row)) for row in rows]


def _alignment(
    student: FrozenStudent, attention: Mapping[str, Path], labels: Path | None
) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    if labels:
        scores["refit"] = refit(student, Shards(labels), **REFIT)
    elif student.source == "none":
        raise ValueError(
            "this encoder was trained without attention, so it has no maps to align; give it a "
            "teacher's labels to fit a readout on"
        )
    return scores | {name: align(student, folder).summary() for name, folder in attention.items()}


def _ours(encoder: str) -> Path:
    """The path of a checkpoint with an attention head, which the maps of alignment come from."""
    path = Path(encoder)
    if path.suffix != ".safetensors" or not path.is_file():
        raise ValueError(
            f"{encoder} has no attention head, so nothing of it can be compared with people's "
            "attention; alignment is for checkpoints of train_simclr"
        )
    read_config(path, "encoder", "attention")
    return path


def _name(encoder: str) -> str:
    kind, _, name = encoder.partition(":")
    return f"{kind}-{name}" if name else Path(encoder).stem


def _given(images: ImageSet | None) -> ImageSet:
    assert images is not None  # opened, as some benchmark asked for it
    return images


def _provenance(encoder: str, source: Source) -> dict[str, Any]:
    view = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in source.identity["view"].items()
    }
    return {"encoder": encoder, **source.identity, "n_features": source.n_features, "view": view}
