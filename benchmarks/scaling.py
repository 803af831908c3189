"""What params/paper.yaml takes of disk, time and memory, from unit costs: SCALING.md's tables.

    PYTHONPATH=src python benchmarks/scaling.py            measure, keep the costs, write the page
    PYTHONPATH=src python benchmarks/scaling.py --page     write the page from the kept costs

Measured are, on one thread and of made-up photographs of 640 × 480, seconds that an image takes of
each stage's work, and bytes that a step of each training keeps of it. They are in
benchmarks/scaling.json. Counts of runs, sets and fits are those of the parameters. A GPU's rate is
not measured but published (`GPU_STEPS`). Prints the tables; takes some minutes.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from ratios import machine
from views import training_samples, write_sets

from attnlabels.images.decoding import decode
from attnlabels.images.squares import resize_centre_crop
from attnlabels.metrics.linear_probe import Part, moments, objective
from attnlabels.metrics.retrieval import retrieve, split_queries
from attnlabels.models.student import build_student
from attnlabels.pipeline.params import check, load, read
from attnlabels.processes.precision import DTYPE, Precision
from attnlabels.processes.room import kept_bytes
from attnlabels.teachers.network import Teacher
from attnlabels.training import classifiers, students, teachers
from attnlabels.training.classifiers import build_classifier, classifier_config

ROOT = Path(__file__).resolve().parents[1]
PAPER, PAGE = ROOT / "params/paper.yaml", ROOT / "SCALING.md"
COSTS = Path(__file__).with_suffix(".json")
N_TRAIN, N_VAL, N_CIFAR, N_CLASSES = 1_281_167, 50_000, 60_000, 1000
N_FEATURES = 2048  # of a ResNet-50
SIDES = (64, 96)  # px: what a pass keeps is counted at these, and grows with the pixels
CORRUPTED = 19 * 5  # sets of ImageNet-C, and as many of CIFAR-10-C
GPU_STEPS = 820  # images a second of train_simclr on an A100: two thirds of lightly's SimCLR
PASSES = (20, 100)  # over the features that a penalty of the probe needs
IMAGENET_GB, IMAGENET_C_GB = 145, 75  # as published: with validation; all 19 corruptions
N_PEOPLE = {"train_teacher": 10_000, "align_attention": 5_000}  # recordings held in memory


def main(words: list[str]) -> None:
    if words not in ([], ["--page"]):
        raise SystemExit(__doc__)
    if not words:
        with tempfile.TemporaryDirectory() as folder:
            costs = {"machine": machine(), **measure(Path(folder))}
        COSTS.write_text(json.dumps(costs, indent=2) + "\n")
    sections = tables(json.loads(COSTS.read_text()), read(PAPER))
    PAGE.write_text(written(PAGE.read_text(), sections))
    print(*sections.values(), sep="\n\n")


def written(page: str, sections: dict[str, str]) -> str:
    """The page with each `<!-- scaling: NAME -->` ... `<!-- end -->` filled anew."""
    for name, text in sections.items():
        head, mark, rest = page.partition(f"<!-- scaling: {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        if not (mark and end):
            raise SystemExit(f"{PAGE}: no place for {name}; put <!-- scaling: {name} --> back")
        page = f"{head}{mark}{text}\n{end}{tail}"
    return page


def measure(folder: Path) -> dict[str, float]:
    """Seconds of one core, and bytes, of an image by what is done with it."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    rng = np.random.default_rng(0)
    photographs = [photograph(rng) for _ in range(16)]
    sizes = [(480, 640)] * len(photographs)
    shards, _ = write_sets(folder, photographs, sizes)
    views = training_samples(shards, size=224)
    stored = sum(each.stat().st_size for each in (folder / "set").iterdir())
    tree = read(PAPER)
    h, w = tree["train_teacher"]["test_size"] or tree["train_teacher"]["image_size"]
    teacher = Teacher(**tree["teacher"], pool_stride=tree["train_teacher"]["pool_stride"]).eval()
    x = rng.random((4096, N_FEATURES), np.float32).astype(np.float16)
    part = Part(x, rng.integers(0, N_CLASSES, len(x)), *moments(x), np.arange(len(x)))
    theta = np.zeros((N_CLASSES, N_FEATURES + 1))
    few = rng.random((5000, N_FEATURES), np.float32).astype(np.float16)
    labels = np.arange(len(few)) % 50
    split = split_queries(len(few), n_queries=500, seed=0)
    with torch.no_grad():
        forward = seconds(lambda: teacher(torch.zeros(4, 3, h, w))) / 4
    return {
        "teacher_s": forward,
        "views_s": seconds(lambda: [views[0, i] for i in range(16)]) / 16,
        "reading_s": seconds(lambda: [see(each) for each in photographs]) / 16,
        "probe_pass_s": seconds(lambda: objective(theta, part, l2=1e-4), times=1) / len(x),
        "retrieval_pair_s": seconds(lambda: retrieve(few, few, labels=labels, split=split), times=1)
        / (500 * 4500),
        "label_bytes": (stored - sum(map(len, photographs))) / 16,
        **kept(tree),
    }


def seconds(function: Callable[[], object], *, times: int = 3) -> float:
    """The least processor time of some calls, after one that is not measured."""
    function()
    found = []
    for _ in range(times):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return min(found)


def photograph(rng: np.random.Generator) -> bytes:
    """A JPEG of about 100 kB, as ImageNet's are: smooth shapes and some grain."""
    coarse = cv2.resize(rng.random((12, 16, 3)), (640, 480), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(255 * coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def see(data: bytes) -> np.ndarray:
    return resize_centre_crop(decode(data, name="photograph"), size=224, crop=0.875)


def kept(tree: dict[str, Any]) -> dict[str, float]:
    """What the steps of the trainings keep of an image, bytes."""
    p = load(students.Recipe, "train_simclr", path=PAPER)
    row = check(students.Row, tree["main"]["contrastive_attn_teacher"], where="main")
    student = build_student(students.student_config(p, row), n_classes=N_CLASSES)
    q = load(classifiers.Recipe, "train_supervised", path=PAPER)
    own = check(classifiers.Row, tree["supervised"]["supervised_resnet50"], where="supervised")
    classifier = build_classifier(classifier_config(q, own), n_classes=N_CLASSES)
    recipe = load(teachers.Recipe, "train_teacher", path=PAPER)
    teacher = Teacher(**teachers.architecture(recipe, load(teachers.Design, "teacher", path=PAPER)))
    square, how = (p.image_size, p.image_size), {"joint": True, "stop_gradient": False}
    return {
        "simclr_bytes": kept_of(student, square, views=3, precision=p.precision, **how),
        "supervised_bytes": kept_of(classifier, square, views=2, precision=q.precision, **how),
        "teacher_bytes": kept_of(teacher, recipe.image_size, views=1, precision=recipe.precision),
        "weights_bytes": sum(each.nbytes for each in student.parameters()),
    }


def kept_of(
    network: torch.nn.Module, size: tuple[int, int], *, views: int, precision: str, **how: Any
) -> float:
    """Bytes that a pass keeps of an image of `size`: from two small sizes, by the pixels."""
    dtype = DTYPE[cast(Precision, precision)]

    def step(n: int, side: int) -> int:
        images = [torch.rand(n, 3, side, side) for _ in range(views)]
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            return kept_bytes(lambda: network(*images, **how))

    small, large = ((step(4, side) - step(2, side)) / (2 * views) for side in SIDES)
    a_pixel = (large - small) / (SIDES[1] ** 2 - SIDES[0] ** 2)
    return small + a_pixel * (size[0] * size[1] - SIDES[0] ** 2)


def tables(costs: dict[str, Any], tree: dict[str, Any]) -> dict[str, str]:
    """The page's sections by name."""
    return {
        "disk": "\n".join(disk(costs, tree)),
        "time": "\n".join(times(costs, tree)),
        "memory": "\n".join(memory(costs, tree)),
    }


def runs(tree: dict[str, Any]) -> tuple[int, int]:
    """Of the main chain, and of all tables."""
    main = len(tree["main"]) * len(tree["seeds"])
    studies = sum(len(tree[name]) for name in ("table1", "supervised", "ablations"))
    return main, main + studies * len(tree["study_seeds"])


def features_gb() -> tuple[float, float]:
    """Of one run: those of clean images, and of corrupted ones."""
    clean = N_TRAIN + N_VAL + N_CIFAR
    corrupted = CORRUPTED * (N_VAL + 10_000)
    return 2 * N_FEATURES * clean / 1e9, 2 * N_FEATURES * corrupted / 1e9


def line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def disk(costs: dict[str, Any], tree: dict[str, Any]) -> Iterator[str]:
    main, every = runs(tree)
    clean, corrupted = features_gb()
    label, run = costs["label_bytes"], clean + corrupted
    a_set = IMAGENET_GB * N_TRAIN / (N_TRAIN + N_VAL) + label * N_TRAIN / 1e9
    sets = len(tree["relabel_images"])
    yield line("", "size")
    yield "|---|---:|"
    yield line("ImageNet, training and validation", f"{IMAGENET_GB} GB")
    yield line("ImageNet-C, all 19 corruptions", f"{IMAGENET_C_GB} GB")
    more = f"{label / 1e3:.1f} kB of map, points and tar an image"
    yield line(f"`data/labels/train`: the training images again, and {more}", f"{a_set:.0f} GB")
    again = f"Table 1's {sets} relabelled sets, which hold the images too"
    yield line(again, f"{sets} × {a_set:.0f} GB")
    parts = f"{clean:.1f} GB of clean images, {corrupted:.1f} GB of ImageNet-C and CIFAR-10-C"
    yield line("features of one run with ResNet-50, in `data/features`", parts)
    all_of = f"the same of the main chain's {main} runs; of all {every}"
    yield line(all_of, f"{main * run:.0f} GB; {every * run / 1e3:.1f} TB")


def times(costs: dict[str, Any], tree: dict[str, Any]) -> Iterator[str]:
    main, every = runs(tree)
    epochs, probe = tree["train_simclr"]["epochs"], tree["probe_linear"]
    hours = epochs * N_TRAIN / GPU_STEPS / 3600
    encoding = 9 * GPU_STEPS  # three views forward and backward are nine forwards
    encoded = N_TRAIN + N_VAL + CORRUPTED * N_VAL
    fits = len(probe["l2_times_n"]) * (1 - probe["development"]) + 1
    fit_h = [n * fits * N_TRAIN * costs["probe_pass_s"] / 3600 for n in PASSES]
    pairs = (CORRUPTED + 1) * (5_000 * 45_000 + 1_000 * 9_000)
    views, labels = 1 / costs["views_s"], 1 / costs["teacher_s"]
    yield line("", "measured, of one core", "work", "takes")
    yield "|---|---|---|---:|"
    once = f"{N_TRAIN / 1e6:.2f} M, once"
    label_h = f"{N_TRAIN / labels / 3600:.1f} core hours"
    yield line("`label_images`, the teacher", f"{labels:.0f} images/s", once, label_h)
    anchor = f"*published*: {GPU_STEPS} images/s of an A100"
    yield line(
        "`train_simclr`, the GPU", anchor, f"{epochs} epochs", f"*est.* {hours:.0f} GPU hours"
    )
    cores = f"{GPU_STEPS / views:.0f} cores a GPU"
    yield line("the same, shards to views", f"{views:.0f} images/s", "as fast as a GPU", cores)
    minutes = f"*est.* {encoded / encoding / 60:.0f} GPU min"
    rate = f"*est.* {encoding} images/s"
    yield line("`extract_features`, the GPU", rate, f"{encoded / 1e6:.1f} M", minutes)
    n, rate = CORRUPTED * N_VAL, f"{1 / costs['reading_s']:.0f} images/s"
    read_h = f"{n * costs['reading_s'] / 3600:.1f} core hours"
    yield line("the same, reading ImageNet-C", rate, f"{n / 1e6:.2f} M", read_h)
    unit = f"{1e6 * costs['probe_pass_s']:.0f} µs an image and pass"
    work = f"{fits:.1f} fits of all images, of {PASSES[0]} to {PASSES[1]} passes"
    yield line("`probe_linear`", unit, work, f"{fit_h[0]:.0f} to {fit_h[1]:.0f} core hours")
    unit = f"{1e9 * costs['retrieval_pair_s']:.0f} ns a query and image"
    work = f"{CORRUPTED + 1} sets of ImageNet, as many of CIFAR-10"
    yield line(
        "`score_retrieval`", unit, work, f"{pairs * costs['retrieval_pair_s'] / 60:.0f} core min"
    )
    yield ""
    yield (
        f"The main chain's {main} runs take *est.* {main * hours:.0f} GPU hours of training; all "
        f"{every}, with {len(tree['study_seeds'])} study seeds, {every * hours:.0f}."
    )


def memory(costs: dict[str, Any], tree: dict[str, Any]) -> Iterator[str]:
    simclr, weights = tree["train_simclr"], 4 * costs["weights_bytes"] / 1e9
    yield line("", "an image", "images at a time", "needs at least")
    yield "|---|---:|---:|---:|"
    each = f"{costs['simclr_bytes'] / 1e6:.1f} MB"
    for processes, chunks in ((1, 1), (8, 1), (1, 8)):
        own = 3 * simclr["batch_size"] // processes
        pixels = own * 15 * simclr["image_size"] ** 2 / 1e9  # bytes, and float32
        need = own / chunks * costs["simclr_bytes"] / 1e9 + pixels + weights
        how = f"`train_simclr`, processes {processes}, chunks {chunks}"
        yield line(how, each, own // chunks, f"{need:.0f} GB of each GPU")
    n, each_b = 2 * tree["train_supervised"]["batch_size"], costs["supervised_bytes"]
    need = f"{n * each_b / 1e9 + weights:.0f} GB of a GPU"
    yield line("`train_supervised`, ResNet-50", f"{each_b / 1e6:.1f} MB", n, need)
    n, each_b = tree["train_teacher"]["batch_size"], costs["teacher_bytes"]
    yield line(
        "`train_teacher`", f"{each_b / 1e6:.1f} MB", n, f"{n * each_b / 1e9:.1f} GB of a GPU"
    )
    h, w = tree["train_teacher"]["image_size"]  # bytes of colours, and the map in float32
    held = {"`train_teacher`, recordings kept decoded": ("train_teacher", 7 * h * w)}
    h, w = tree["prepare_attention"]["val"]["map_size"]  # people's map and two of the student
    held["`align_attention`"] = ("align_attention", 3 * 640 * 480 + 12 * h * w)
    for what, (stage, each_b) in held.items():
        need = f"{N_PEOPLE[stage] * each_b / 1e9:.1f} GB of RAM a process"
        yield line(what, f"{each_b / 1e6:.2f} MB", N_PEOPLE[stage], need)


if __name__ == "__main__":
    main(sys.argv[1:])
