"""The checks of `gpu.py`: each a function of a Place that gives Rows, in a process of its own.

The stages are run by their own `main`, on made-up data and in a folder of the check's own.
"""

import csv
import hashlib
import importlib
import inspect
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import gpu_world
import torch
import torch.distributed as dist
from apart import Failed, apart
from gpu_data import EMBEDDED, RUN, Place, write_labels, write_params
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import label_images
import list_runs
import train_simclr
from attnlabels.labelling.labeller import Labeller
from attnlabels.pipeline.launch import launch
from attnlabels.processes.checkpoint import Scratch
from attnlabels.training.batch_norm import synchronise
from attnlabels.training.step import Step

SRC = Path(__file__).resolve().parents[1] / "src"
PASSED, FAILED, SHOWN = "passed", "**failed**", "shown"
ABSENT = "not here"  # of what this machine has not, e.g. a second GPU

# Largest difference, of what it is the difference of.
SAME_LOSS = 1e-4  # of a step in single precision, of the CPU's
# Of its gradient: an untrained ResNet-50 enlarges rounding. A CPU's own, with oneDNN and without,
# are 0.011 apart; a GPU's was 0.0055 from it.
SAME_GRADIENT = 0.02
LIKE_FP32 = 0.02  # a loss in another precision, or compiled
LIKE_ALONE = 0.01  # a loss by several processes
STEPS = 12
# SCALING.md's estimates, images a second of one GPU: lightly's SimCLR at two thirds, as a third
# view is made; of labelling what its one thread that writes can do. A plan holds to half of them.
ANCHORS = {"train_simclr": {"A100": 820, "RTX 4090": 250}, "label_images": {"A100": 930}}
AS_AN_A100 = ("H100", "H200", "GH200", "B200")  # at the least
LEAST_OF_ANCHOR = 0.5
MOST_GB, IMAGES_A_GPU = 80.0, 256  # SCALING.md's: a batch of 2,048 on 8 GPUs


class Row(NamedTuple):
    """A line of the table."""

    check: str
    outcome: str
    number: str
    bound: str


def judged(check: str, kept: bool, number: str, bound: str) -> Row:
    return Row(check, PASSED if kept else FAILED, number, bound)


def near(check: str, found: float, expected: float, *, limit: float) -> Row:
    """The relative difference of two numbers; NaN is near nothing."""
    apart_by = abs(found - expected) / abs(expected)
    return judged(check, apart_by <= limit, f"{found:.6g} and {expected:.6g}", f"{limit:g} apart")


def agreement(place: Place) -> Iterator[Row]:
    """One step in fp32 without TF32, on this device and on the CPU."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    n = 8
    write_labels(Path("labels"), place, count=n)
    changes = {
        **place.full,
        "train_simclr.precision": "fp32",
        "train_simclr.batch_size": n,
        "train_simclr.epochs": 1,
        "train_simclr.workers": 0,
    }
    with mock.patch.object(torch.cuda, "is_available", lambda: False):
        expected, by = first_step(place, changes, Path("cpu"))
    found, gradient = first_step(place, changes, Path("device"))
    size = math.sqrt(sum(float(each.square().sum()) for each in by.values()))
    off = math.sqrt(sum(float((gradient[key] - by[key]).square().sum()) for key in by))
    what = "one step in fp32 without TF32, and the CPU's"
    yield near(f"loss of {what}", found, expected, limit=SAME_LOSS)
    relative = off / size
    yield judged(
        f"gradient of {what}",
        relative <= SAME_GRADIENT,
        f"{relative:.1e} apart",
        f"{SAME_GRADIENT:g} apart",
    )


def first_step(place: Place, changes: dict[str, Any], out: Path) -> tuple[float, dict[str, Tensor]]:
    """The loss and the gradient of a training of one step."""
    gradients: dict[str, Tensor] = {}

    def look(step: Step) -> None:
        for name, each in step.model.named_parameters():
            if each.grad is not None:
                gradients[name] = each.grad.detach().cpu().double()

    with after_each_step(look):
        loss = train(place, out, changes)
    return loss[0], gradients


def precision(place: Place) -> Iterator[Row]:
    """Some steps in each precision."""
    write_labels(Path("labels"), place, count=place.small["train_simclr.batch_size"])
    changes = {**place.small, "train_simclr.epochs": STEPS}  # of a step each
    losses = {
        each: train(place, Path(each), {**changes, "train_simclr.precision": each})
        for each in ("fp32", "bf16", "fp16")
    }
    # Under fp16 steps are left out, so that later ones are of other weights.
    for each, number in (("bf16", 1), ("bf16", STEPS), ("fp16", 1)):
        found, expected = (losses[name][number - 1] for name in (each, "fp32"))
        yield near(
            f"loss of step {number} in {each}, and in fp32", found, expected, limit=LIKE_FP32
        )
    train(place, Path("auto"), {**changes, "train_simclr.precision": "auto"})
    taken = json.loads(Path("auto/report.json").read_text())["made_by"]["precision"]
    yield Row("precision auto", SHOWN, taken, "the faster of fp32 and bf16")


def scaling(place: Place) -> Iterator[Row]:
    """fp16: a step whose gradient is infinite is left out, and the loss is scaled less."""
    spoilt = STEPS - 2
    write_labels(Path("labels"), place, count=place.small["train_simclr.batch_size"])
    plain, numbers = Step.__call__, itertools.count(1)
    seen: dict[int, tuple[float, bool]] = {}

    def step(self: Step, *words: Any, loss: Any, **options: Any) -> None:
        number, scale = next(numbers), self.scaler.get_scale()
        before = [each.detach().clone() for each in self.model.parameters()]
        worst = (lambda *of: loss(*of) * math.inf) if number == spoilt else loss
        plain(self, *words, loss=worst, **options)
        moved = any(not a.equal(b) for a, b in zip(before, self.model.parameters()))
        seen[number] = self.scaler.get_scale() / scale, moved

    changes = {"train_simclr.epochs": STEPS, "train_simclr.precision": "fp16"}
    with mock.patch.object(Step, "__call__", step):
        train(place, Path("fp16"), {**place.small, **changes})
    by, moved = seen[spoilt]
    yield judged(
        "fp16, a gradient that is infinite",
        by == 0.5 and not moved,
        f"scale × {by:g}, {'weights moved' if moved else 'no weight moved'}",
        "scale × 0.5, none moves",
    )
    made = [number for number, (_, each) in seen.items() if each]  # not at too large a scale
    right = len(made) > 2 and made[0] < spoilt < made[-1]
    yield judged("fp16, steps made", right, ", ".join(map(str, made)), f"some, {spoilt} not")


def compiled(place: Place) -> Iterator[Row]:
    """`compile`, beside the same steps without it."""
    write_labels(Path("labels"), place, count=place.small["train_simclr.batch_size"])
    changes = {**place.small, "train_simclr.epochs": 4}
    plain = train(place, Path("plain"), changes)
    start = time.monotonic()
    with traced_only(not place.gpu):
        found = train(place, Path("compiled"), {**changes, "train_simclr.compile": True})
    seconds = time.monotonic() - start
    graphs = int(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    yield judged("compile, graphs made", graphs > 0, f"{graphs} in {seconds:.0f} s", "1")
    yield near("first loss compiled, and not", found[0], plain[0], limit=LIKE_FP32)
    yield near("last loss of 4 steps compiled, and not", found[-1], plain[-1], limit=LIKE_FP32)


@contextmanager
def traced_only(wanted: bool) -> Iterator[None]:
    """Where `wanted`, a graph is traced and run as it is: for a CPU its code takes a minute."""

    def trace(self: nn.Module) -> None:
        self._compiled_call_impl = torch.compile(self._call_impl, backend="eager")

    with mock.patch.object(nn.Module, "compile", trace if wanted else nn.Module.compile):
        yield


def repeat(place: Place) -> Iterator[Row]:
    """`deterministic`: the same bits again, and after a kill."""
    steps, killed = 8, 3
    write_labels(Path("labels"), place, count=steps * place.small["train_simclr.batch_size"])
    changes = {
        **place.small,
        "train_simclr.epochs": 1,
        "train_simclr.deterministic": True,
        "train_simclr.checkpoint_steps": killed,
    }

    def once(out: str) -> str:
        process = apart(
            lambda: [train(place, Path(out), changes)],
            limit_s=60 * place.patience,
            log=Path(f"{out}.log"),
        )
        list(process)
        return sha256(Path(out) / "student.safetensors")

    def same(check: str, found: str, expected: str) -> Row:
        return judged(check, found == expected, f"{found[:8]} and {expected[:8]}", "the same bits")

    expected = once("first")
    yield same(f"deterministic, {steps} steps twice", once("second"), expected)
    with ended_as_it_keeps_its_state():
        try:
            once("third")
        except Failed as ended:
            if ended.status != -signal.SIGKILL:
                raise
        else:
            raise Failed("the training was to be killed and was not")
    yield same(f"killed after {killed} steps and resumed", once("third"), expected)


@contextmanager
def ended_as_it_keeps_its_state() -> Iterator[None]:
    """In this block a process is killed when it has written its state."""
    plain = Scratch.write

    def write(self: Scratch, state: dict[str, Any]) -> None:
        plain(self, state)
        os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(Scratch, "write", write):
        yield


def group(place: Place) -> Iterator[Row]:
    """A process group of this process alone, and what a step does with one."""
    backend = "nccl" if place.gpu else "gloo"
    device = torch.device("cuda", 0) if place.gpu else torch.device("cpu")
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    rows = torch.arange(6.0, device=device).reshape(2, 3)
    gathered = torch.empty_like(rows)
    dist.all_gather(list(gathered.chunk(1)), rows)
    total = torch.tensor([1.5], dtype=torch.float64, device=device)
    dist.all_reduce(total)
    values: list[object] = [None]
    dist.all_gather_object(values, "agreed")
    right = gathered.equal(rows) and float(total) == 1.5 and values == ["agreed"]
    yield judged(f"{backend}, a group of one: gather, sum, objects", right, "", "as given")
    expected, found = of_a_network(device, together=False), of_a_network(device, together=True)
    off = float((found - expected).abs().max() / expected.abs().max())
    yield judged(
        f"{backend}, a group of one: DDP and batch norm",
        off <= 1e-4,
        f"{off:.1e} apart",
        "0.0001 apart",
    )
    dist.destroy_process_group()


def of_a_network(device: torch.device, *, together: bool) -> Tensor:
    """The first kernel's gradient in a small network, alone or as one of several processes."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)
    network = nn.Sequential(*layers).to(device)
    called: nn.Module = network
    if together:
        synchronise(network, device)
        ids = [device] if device.type == "cuda" else None
        called = DistributedDataParallel(network, device_ids=ids, forward_sync_buffers=False)
    called(torch.rand(4, 3, 8, 8).to(device)).square().sum().backward()
    kernel = next(network.parameters())
    assert kernel.grad is not None
    return kernel.grad.cpu()


def launcher(place: Place) -> Iterator[Row]:
    """What passes between processes that the launcher starts: one, and one a GPU; on a CPU two."""
    cards = torch.cuda.device_count() if place.gpu else 0
    for n in sorted({1, cards}) if cards else [2]:
        report = Path(f"world-{n}.json")
        world(n, report)
        found = json.loads(report.read_text())
        right = (
            found["size"] == n
            and found["gathered"] == [rank for rank in range(n) for _ in range(2)]
            and found["none"] == [2 * n, 0]
            and found["total"] == n * n / 2
        )
        check = f"launched, {n} of {n} processes gather, sum and agree"
        yield judged(check, right, found["device"], "each once")


def world(count: int, report: Path) -> None:
    """What the script gpu_world.py does; this process is the launcher's, or the only one."""
    script = Path(gpu_world.__file__)
    try:
        with mock.patch.object(sys, "argv", [str(script), str(count), str(report)]):
            launch(count)
        gpu_world.main(report)
    except SystemExit as left:  # as the processes did
        if left.code:
            raise Failed(f"{script.name} left with status {left.code}") from None


def several(place: Place) -> Iterator[Row]:
    """A training by a process a GPU, where there are several."""
    n = torch.cuda.device_count() if place.gpu else 0
    if n < 2:  # on CPUs, tests/attnlabels/training/test_step.py looks at it
        yield Row("train_simclr by several processes", ABSENT, f"{n} GPU", "")
        return
    batch = place.small["train_simclr.batch_size"] // n * n
    write_labels(Path("labels"), place, count=batch)
    changes = {
        **place.small,
        "train_simclr.epochs": 4,
        "train_simclr.precision": "fp32",
        "train_simclr.batch_size": batch,
    }
    *_, alone = train(place, Path("alone"), changes)
    changes["train_simclr.processes"] = n
    *_, found = train(place, Path("several"), changes, launched=True)
    yield near(f"loss of step 4 by {n} processes, and by 1", found, alone, limit=LIKE_ALONE)


def training_rate(place: Place) -> Iterator[Row]:
    """Images a second of train_simclr, and of its steps without the wait for images."""
    count = place.photographs // place.batch * place.batch
    skipped = 5  # steps in which workers start and convolutions are chosen
    write_labels(Path("labels"), place, count=count)
    plain, spans = Step.__call__, list[tuple[float, float]]()

    def step(self: Step, *words: Any, **options: Any) -> None:
        start = time.monotonic()
        plain(self, *words, **options)
        wait_for(place)
        spans.append((start, time.monotonic()))

    epochs = 2 if place.gpu else 1
    changes = {**place.full, "train_simclr.batch_size": place.batch, "train_simclr.epochs": epochs}
    with mock.patch.object(Step, "__call__", step):
        train(place, Path("out"), changes)
    ends = [end for _, end in spans]
    n = place.batch * (len(spans) - skipped)
    whole, alone = ends[-1] - ends[skipped - 1], sum(end - start for start, end in spans[skipped:])
    yield by_anchor("train_simclr", n / whole, place)
    yield Row("train_simclr, the steps alone, images/s", SHOWN, f"{n / alone:.0f}", "")


def labelling_rate(place: Place) -> Iterator[Row]:
    """Images a second of label_images, and of the teacher without the wait for images."""
    write_params(place.full)
    plain, spans = Labeller.draw_maps, list[tuple[int, float, float]]()

    def draw(self: Labeller, pixels: Tensor) -> Tensor:
        start = time.monotonic()
        maps = plain(self, pixels)  # ends on the CPU
        spans.append((len(maps), start, time.monotonic()))
        return maps

    names = ("teacher.safetensors", "photographs", "images.csv", "people")
    words = [place.folder / name for name in names]
    with mock.patch.object(Labeller, "draw_maps", draw):
        run_stage(label_images.main, *words, Path("labels"), Path("examples.npz"))
    spans = spans[2:-1]  # the workers start; the last are the examples
    n = sum(count for count, _, _ in spans[1:])
    yield by_anchor("label_images", n / (spans[-1][2] - spans[0][2]), place)
    alone = sum(end - start for _, start, end in spans[1:])
    yield Row("label_images, the teacher alone, images/s", SHOWN, f"{n / alone:.0f}", "")


def by_anchor(stage: str, rate: float, place: Place) -> Row:
    """A stage's images a second, beside what SCALING.md plans with for this GPU."""
    name, number = f"{stage}, images/s", f"{rate:.0f}"
    card = torch.cuda.get_device_name() if place.gpu else "CPU"
    if any(each in card for each in AS_AN_A100):
        card = "A100"
    for known, anchor in ANCHORS[stage].items():
        if known in card:
            least = LEAST_OF_ANCHOR * anchor
            return judged(name, rate >= least, number, f"≥ {least:.0f}; {anchor} planned")
    return Row(name, SHOWN, number, "no anchor for it")


def memory(place: Place) -> Iterator[Row]:
    """What an image takes of the GPU's memory, and whether SCALING.md's share of a batch fits."""
    few = 16 if place.gpu else 4
    write_labels(Path("labels"), place, count=2 * few)
    peaks: list[int] = []
    for n in (few, 2 * few):
        changes = {**place.full, "train_simclr.batch_size": n, "train_simclr.epochs": 1}
        ask = partial(peak_of, place, Path(f"of-{n}"), changes)
        peaks += apart(ask, limit_s=60 * place.patience, log=Path(f"of-{n}.log"))
    slope = (peaks[1] - peaks[0]) / few
    whole = (peaks[0] + (IMAGES_A_GPU - few) * slope) / 1e9
    number = f"{slope / 1e6:.0f} MB an image, {whole:.1f} GB for {IMAGES_A_GPU}"
    name = "train_simclr, peak memory"
    if not place.gpu:
        yield Row(name, SHOWN, number, "of a GPU alone")
        return
    yield judged(name, whole <= MOST_GB, number, f"≤ {MOST_GB:g} GB")


def peak_of(place: Place, out: Path, changes: dict[str, Any]) -> Iterator[int]:
    """Bytes of the device, or resident ones, at the most of a training."""
    train(place, out, changes)
    if place.gpu:
        yield torch.cuda.max_memory_allocated()
        return
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    yield int(fields["VmHWM"].split()[0]) * 1024


# Of stages/methods, guided: losses and what they need, networks of timm.
METHODS = tuple(
    f"{name}_attn_teacher"
    for name in ("barlow_twins", "vicreg", "simsiam", "byol", "moco", "efficientnet", "vit")
)
# A line a stage. The first only make what the others need.
MADE = (
    "make_scenes scenes data/scenes",
    "list_images train data/images/train.csv",
    "list_images val data/images/val.csv",
    "prepare_attention train {seen}/images/train {mouse}_train2014.json {people}/train",
    "prepare_attention dev {seen}/images/train {mouse}_train2014.json {people}/dev",
    "prepare_attention val {seen}/images/val {mouse}_val2014.json {people}/val",
    "prepare_attention eye data/scenes/osie/images data/scenes/osie/eye.json {people}/eye",
    "corrupt_images imagenet_c {val} data/images/val.csv data/corrupted/imagenet_c",
    "corrupt_images cifar10_c {cifar} test data/corrupted/cifar10_c",
)
COMPUTED = (
    "train_teacher teacher {people}/train {people}/dev teacher.safetensors t.csv t.json",
    "evaluate_teacher teacher.safetensors {people}/val {people}/eye e.csv e.npz e.json",
    "label_images teacher.safetensors {train} data/images/train.csv {people}/eye {labels} l.npz",
    "train_simclr {run} 0 {val} data/images/val.csv student.safetensors s.csv s.json",
    "train_supervised {other} 0 {val} data/images/val.csv c.safetensors c.csv c.json",
    "relabel_images contracam {labels} student.safetensors data/labels/contracam",
    "align_attention student.safetensors {labels} {people}/val {people}/eye a.csv a.npz a.json",
    "extract_features student.safetensors {train} data/images/train.csv {val} data/images/val.csv"
    " data/corrupted/imagenet_c {cifar} data/corrupted/cifar10_c data/features",
    *(
        f"train_simclr runs/methods/{each}.json 0 {{val}} data/images/val.csv"
        f" {each}.safetensors {each}.csv {each}.json"
        for each in METHODS
    ),
)
PLACES = {
    "seen": "data/scenes/salicon",
    "mouse": "data/scenes/salicon/annotations/fixations",
    "people": "data/attention",
    "train": "data/scenes/imagenet/train",
    "val": "data/scenes/imagenet/val",
    "cifar": "data/scenes/cifar-10-batches-py",
    "labels": "data/labels/train",
    "run": f"runs/main/{RUN}.json",
    "other": "runs/supervised/supervised_resnet10_attn_teacher.json",
}
SETS = ("train", "dev", "val", "eye")
SCENES_SIZE = 24
SCENES: dict[str, Any] = {  # changes to params/embedded.yaml
    "threads": 1,
    "make_scenes.scenes.workers": 1,
    "make_scenes.scenes.size": SCENES_SIZE,
    "make_scenes.scenes.n_classes": 3,
    "make_scenes.scenes.n_train": 24,
    "make_scenes.scenes.n_val": 6,
    "make_scenes.scenes.n_cifar_train": 50,
    "make_scenes.scenes.n_cifar_test": 20,
    "make_scenes.scenes.n_attention_train": 16,
    "make_scenes.scenes.n_attention_val": 4,
    "make_scenes.scenes.n_eye": 4,
    "list_images.train.classes": 3,
    "list_images.train.count": 24,
    "list_images.val.classes": 3,
    "list_images.val.count": 6,
    **{f"prepare_attention.{name}.map_size": [24, 32] for name in SETS},
    **{f"prepare_attention.{name}.folds": 4 for name in ("train", "dev")},
    "prepare_attention.train.keep": [0, 1, 2],
    "prepare_attention.dev.keep": [3],
    "train_teacher.image_size": [24, 32],
    "train_teacher.batch_size": 4,
    "train_teacher.epochs": 1,
    "train_teacher.warmup_epochs": 0.0,
    "evaluate_teacher.splits": 2,
    "label_images.map_size": 12,
    "train_simclr.width": 8,
    "train_simclr.image_size": 24,
    "train_simclr.batch_size": 8,
    "train_simclr.epochs": 1,
    "train_simclr.warmup_epochs": 0.0,
    "train_supervised.width": 8,
    "train_supervised.image_size": 24,
    "train_supervised.batch_size": 8,
    "train_supervised.epochs": 1,
    "train_supervised.warmup_epochs": 0.0,
    "relabel_images.contracam.options.batch_size": 8,
    "methods.vit_attn_teacher.network.options.img_size": 24,
    "corrupt_images.imagenet_c.size": 24,
    "corrupt_images.imagenet_c.workers": 0,
    "corrupt_images.cifar10_c.workers": 0,
    "align_attention.refit_images": 12,
    "align_attention.refit_steps": 5,
}


def stages(place: Place) -> Iterator[Row]:
    """Each stage that computes on the device, on a few small scenes."""
    write_params(SCENES, of=EMBEDDED, rows={"methods": METHODS})
    for line in (*MADE, *COMPUTED):
        name, *words = line.format(**PLACES).split()
        start = time.monotonic()
        run_stage(importlib.import_module(name).main, *words)
        if line in COMPUTED:
            what = f"{name} {Path(words[0]).stem}, {SCENES_SIZE} px"
            yield Row(what, PASSED, f"{time.monotonic() - start:.1f} s", "")
        if name == "label_images":
            for table in ("main", "supervised", "methods"):
                run_stage(list_runs.main, table, f"runs/{table}")


def train(
    place: Place, out: Path, changes: dict[str, Any], *, launched: bool = False
) -> list[float]:
    """The mean loss of each epoch of train_simclr's guided run on `labels`; `out` gets its weights.

    By itself here or, `launched`, as the shell would, in as many processes as `changes` say.
    """
    tree = {f"main.{name}.labels": "labels" for name in ("contrastive", RUN)}
    write_params({**changes, **tree, "train_simclr.warmup_epochs": 0.0})
    runs = out / "runs"
    run_stage(list_runs.main, "main", runs)
    outputs = [out / name for name in ("student.safetensors", "curve.csv", "report.json")]
    inputs = [runs / f"{RUN}.json", 0, place.folder / "photographs", place.folder / "few.csv"]
    if launched:
        python(SRC / "train_simclr.py", *inputs, *outputs)
    else:
        run_stage(train_simclr.main, *inputs, *outputs)
    with outputs[1].open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def run_stage(main: Callable[..., None], *words: object) -> None:
    """Call the `main` of a stage's script with its words as the command line would give them."""
    kinds = [each.annotation for each in inspect.signature(main).parameters.values()]
    main(*(kind(word) for kind, word in zip(kinds, map(str, words), strict=True)))


def python(script: Path, *words: object) -> None:
    """Run a script; raises Failed with the last line that it says."""
    done = subprocess.run(
        [sys.executable, str(script), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        last = (done.stdout.strip() or "it says nothing").splitlines()[-1]
        raise Failed(f"{script.name}: {last}", status=done.returncode)


@contextmanager
def after_each_step(look: Callable[[Step], None]) -> Iterator[None]:
    """In this block `look` is called with each Step when it has updated its model."""
    plain = Step.__call__

    def step(self: Step, *words: Any, **options: Any) -> None:
        plain(self, *words, **options)
        look(self)

    with mock.patch.object(Step, "__call__", step):
        yield


def wait_for(place: Place) -> None:
    if place.gpu:
        torch.cuda.synchronize()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Check(NamedTuple):
    """A check, and the seconds that it may take."""

    rows: Callable[[Place], Iterator[Row]]
    limit_s: float


CHECKS = {
    "agreement": Check(agreement, 60),
    "precision": Check(precision, 60),
    "scaling": Check(scaling, 40),
    "group": Check(group, 40),
    "launcher": Check(launcher, 60),
    "several": Check(several, 90),
    "repeat": Check(repeat, 120),
    "training_rate": Check(training_rate, 90),
    "labelling_rate": Check(labelling_rate, 60),
    "memory": Check(memory, 90),
    "stages": Check(stages, 120),
    "compiled": Check(compiled, 150),
}
