"""Does guidance help on photographs, trained long enough to tell? RESULTS.md, metrics/photographs.

    PYTHONPATH=src python benchmarks/photographs.py choose IMAGENETTE OUT [NAME=VALUE ...]
    PYTHONPATH=src python benchmarks/photographs.py train IMAGENETTE OUT eye=SHARDS [NAME=VALUE ...]
    PYTHONPATH=src python benchmarks/photographs.py tables METRICS OUT

IMAGENETTE has class folders in `train` and `val`, and the shards `eye` are of people's eye
tracking, as `prepare_attention` writes them. The released teacher labels the photographs; ResNet-18
is trained on them by the stage's own script, with the parameters of `params/real.yaml` but for
CHANGED.
`choose` tries, on a fifth of the training photographs that is held out and for fewer epochs, the
baseline's learning rate and then the guided run's weights λ and β. `train` trains the baseline and
the guided run with each of `seeds`, then the controls, and scores each on `val`, clean and
corrupted, and beside people. On the way the concurrent probe is scored after the epochs of LENGTHS,
so that one training gives the curve. `tables` makes tables of the JSON in METRICS: the runs', what
guidance gains over the baseline and each control, and what each control does.

NAME is `epochs`, `seeds` (0,1,2), `workers`, `rate` (the learning rate) and `scale` (times λ = 1
and β = 0.1), by default as OUT's `choosing.json` has them, `backbone` (resnet18), `size` (64 px)
or `only` (runs, by commas). OUT gets all of it, a JSON a run as soon as it is done; what was cut
off goes on, and several of these may share an OUT if their runs are not the same, after one has
made what all need (`only=none`). One core trains 5,000 photographs for 40 epochs in two hours or
so, a GPU with 16 cores in a minute or two. On a GPU, some hours by reckoning, as it was not run:

    … train IMAGENETTE OUT eye=SHARDS backbone=resnet50 size=128 epochs=200 seeds=0,1,2,3,4
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from gpu_checks import run_stage
from ratios import machine
from ruamel.yaml import YAML
from scipy.special import stdtrit

import corrupt_images
import list_images
import list_runs
import relabel_images
import train_simclr
from attnlabels import Drawing, Running, Scoring, Work, evaluate, label
from attnlabels.metrics.statistics import Mean, TTest, holm, mean_se, paired_t
from attnlabels.pipeline.params import read
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.processes.world import World
from attnlabels.reporting.tables import Table, write_tables
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Sample, Shards, write_shards
from attnlabels.training.encoders import Training
from attnlabels.training.probe import score_probe

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT / "params" / "real.yaml"
CHANGED = {"backbone": "resnet18", "width": 64, "image_size": 64, "workers": 1}
MAP_SIZE = 32
RATES = (5e-4, 1e-3, 2e-3)  # learning rates
WEIGHTS = (0.3, 1.0, 3.0, 10.0)  # times λ = 1 and β = 0.1
CHOOSING = {"epochs": 10, "development": 0.2, "seed": 100}  # no seed of a run that is reported
LENGTHS = (5, 10, 20, 40, 80, 160)  # epochs
TENTH = 0.1  # of the images, whose maps are kept
PAIR = ("contrastive", "contrastive_attn_teacher")  # baseline and guided
# The controls' labels; the rest is the guided run's.
CONTROLS = {"centre_labels": "centre", "shuffled_labels": "shuffled", "tenth_labels": "tenth"}
OUTPUTS = ("student.safetensors", "curve.csv", "report.json")
SHOWN = {  # where a score is in a run's JSON
    "probe": "probe_linear.imagenet.top1",
    "corrupted": "score_robustness.imagenet_c.mean",
    "retained": "score_robustness.imagenet_c.retained",
    "mAP": "score_retrieval.imagenet.map",
    "CC as trained": "align_attention.eye.as_trained.cc",
    "CC refitted": "align_attention.eye.refitted.cc",
    "CC centre prior": "align_attention.eye.centre_prior.cc",
}
BESIDE = ("CC centre prior",)  # of no run
POWER = 0.8
Scores = dict[int, dict[str, float]]  # of a run, by seed and by name
ON = ("probe", "robustness", "retrieval", "alignment")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a call of `choose` or `train` is to do."""

    imagenette: Path
    out: Path
    eye: Path = Path("eye")
    epochs: int = 40
    seeds: tuple[int, ...] = (0, 1, 2)
    workers: int = 1
    rate: float = 1e-3
    scale: float = 3.0
    backbone: str = ""  # or as CHANGED has it
    size: int = 0
    only: tuple[str, ...] = field(default=())

    def changed(self) -> dict[str, Any]:
        """What of train_simclr is not as params/real.yaml has it."""
        asked = {"backbone": self.backbone, "image_size": self.size}
        own = {"epochs": self.epochs, "workers": self.workers, "learning_rate": self.rate}
        return CHANGED | {key: value for key, value in asked.items() if value} | own

    def runs(self) -> Iterator[tuple[str, int]]:
        """The pair's with all seeds, then the controls'."""
        every = [(run, seed) for runs in (PAIR, CONTROLS) for seed in self.seeds for run in runs]
        return ((run, seed) for run, seed in every if not self.only or run in self.only)


def main(words: list[str]) -> None:
    if len(words) == 3 and words[0] == "tables":
        return write_all(Path(words[1]), Path(words[2]))
    actions = {"choose": choose, "train": train_all}
    if len(words) < 3 or words[0] not in actions:
        raise SystemExit(__doc__)
    options = dict(word.partition("=")[::2] for word in words[3:])
    if unknown := options.keys() - READ.keys():
        raise SystemExit(
            f"{min(unknown)}: no option; expected one of {', '.join(READ)}, as NAME=VALUE"
        )
    imagenette, out = (Path(place).resolve() for place in words[1:3])
    settings = {key: READ[key](text) for key, text in options.items()}
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "labels" / "index.json").exists():
        drawing, work = Drawing(map_size=MAP_SIZE), Work(workers=settings.get("workers", 1))
        label(imagenette / "train", out=out / "labels", classes=True, drawing=drawing, work=work)
    os.chdir(out)
    if words[0] == "train" and not {"rate", "scale"} <= settings.keys():
        if not Path("choosing.json").exists():
            raise SystemExit(
                f"{out}/choosing.json is missing: `choose` first, or give rate and scale"
            )
        settings = json.loads(Path("choosing.json").read_text())["chosen"] | settings
    actions[words[0]](Wanted(imagenette=imagenette, out=out, **settings))


READ: dict[str, Any] = {
    "eye": lambda text: Path(text).resolve(),
    "epochs": int,
    "seeds": lambda text: tuple(map(int, text.split(","))),
    "workers": int,
    "rate": float,
    "scale": float,
    "backbone": str,
    "size": int,
    "only": lambda text: tuple(text.split(",")),
}


def prepare(wanted: Wanted) -> None:
    """The controls' labels, and the photographs that are scored, corrupted too."""
    write_params(wanted)
    for name in ("centre", "shuffled"):
        if not Path(name, "index.json").exists():
            run_stage(relabel_images.main, name, "labels", "none", name)
    if not Path("tenth").exists():
        write_tenth(Path("labels"), Path("tenth"))
    if not Path("val.csv").exists():
        run_stage(list_images.main, "val", "val.csv")
    if not Path("corrupted").exists():
        val = wanted.imagenette / "val"
        run_stage(corrupt_images.main, "imagenet_c", val, "val.csv", "corrupted")


def write_tenth(labels: Path, folder: Path) -> None:
    """The same labels, of which all but a tenth of the images, drawn at random, have none."""
    shards = Shards(labels)
    kept = set(np.random.default_rng(0).permutation(len(shards))[: round(TENTH * len(shards))])

    def samples() -> Iterator[Sample]:
        for i in range(len(shards)):
            sample = shards[i]
            if i not in kept:
                nothing = {"map": np.zeros_like(sample["map"]), "points": sample["points"][:0]}
                sample = Sample(**{**sample, **nothing, "source": NOBODY})
            yield sample

    by = shards.index["maps_by"]
    with replacing_folder(folder) as aside:
        write_shards(aside, samples(), maximum_count=1000, maps_by=by, classes=shards.classes)


def write_params(wanted: Wanted, *runs: str, **changes: Any) -> None:
    """params/real.yaml for these photographs and `runs`, with `changes` to train_simclr, here."""
    tree = read(REAL)
    tree["train_simclr"] |= wanted.changed() | changes
    guided = tree["main"][PAIR[1]]
    weights = guided["weights"] | {"kld": wanted.scale, "nss": 0.1 * wanted.scale}
    tree["main"] = {
        run: tree["main"].get(run, guided)
        | {"labels": CONTROLS.get(run, "labels"), "map_size": MAP_SIZE, "weights": weights}
        for run in runs
    }
    classes = sum(each.is_dir() for each in (wanted.imagenette / "train").iterdir())
    for split in ("train", "val"):
        images = {key: str(wanted.imagenette / split) for key in ("images", "witness")}
        tree["list_images"][split] |= images | {"classes": classes, "count": None}
    for name in ("centre", "shuffled"):
        tree["relabel_images"][name]["given"] = "none"
    tree["corrupt_images"]["imagenet_c"] |= {
        "size": wanted.changed()["image_size"],
        "workers": wanted.workers,
    }
    aside = Path(f"params.{os.getpid()}.yaml")
    with aside.open("w") as file:
        YAML(typ="safe").dump(tree, file)
    aside.replace("params.yaml")


def choose(wanted: Wanted) -> None:
    """The held-out accuracy of the concurrent probe, by learning rate, then by scale of λ and β."""
    write_params(wanted)
    if not Path("train.csv").exists():  # for its classes; held-out photographs are scored
        run_stage(list_images.main, "train", "train.csv")
    found: dict[str, float] = {}
    for rate in RATES:
        found[f"baseline, rate {rate:g}"] = held_out(wanted, PAIR[0], rate, 1.0)
    rate = RATES[int(np.argmax(list(found.values())))]
    scales = {each: held_out(wanted, PAIR[1], rate, each) for each in WEIGHTS}
    found |= {f"guided, rate {rate:g}, scale {each:g}": top1 for each, top1 in scales.items()}
    chosen = {"rate": rate, "scale": max(scales, key=scales.__getitem__)}
    about = {"machine": machine(), **CHOOSING, "development_top1": found, "chosen": chosen}
    write_json(Path("choosing.json"), about)
    print(json.dumps(about, indent=1))


def held_out(wanted: Wanted, run: str, rate: float, scale: float) -> float:
    """The accuracy on the training photographs held out, of a short training."""
    own = {"rate": rate, "scale": scale, "epochs": CHOOSING["epochs"]}
    report = Path("choosing", f"{run}-{rate:g}-{scale:g}", "report.json")
    if not report.exists():
        each = Wanted(**{**vars(wanted), **own})
        held = CHOOSING["development"]
        train(each, run, CHOOSING["seed"], report.parent, split="train", development=held)
    return float(json.loads(report.read_text())["probe"]["development_top1"])


def train_all(wanted: Wanted) -> None:
    """Train and score each run that was not yet."""
    prepare(wanted)
    for run, seed in wanted.runs():
        folder = Path("runs", f"{run}-{seed}")
        if (done := Path("metrics", f"{run}-{seed}.json")).exists():
            continue
        if not (folder / "report.json").exists():
            train(wanted, run, seed, folder, split="val")
        scores = evaluate(
            str(folder / "student.safetensors"),
            on=ON,
            out=Path("scores"),
            imagenet=wanted.imagenette,
            imagenet_c=Path("corrupted"),
            attention={"eye": wanted.eye},
            labels=Path("labels"),
            name=run,
            seed=seed,
            scoring=Scoring(readouts=("head",)),
            running=Running(workers=wanted.workers, cache=folder / "features"),
        )
        on_the_way = json.loads((folder / "lengths.json").read_text())
        report = json.loads((folder / "report.json").read_text())
        done.parent.mkdir(exist_ok=True)
        write_json(
            done, {"machine": machine(), "top1_by_epoch": on_the_way, "train": report, **scores}
        )


def train(wanted: Wanted, run: str, seed: int, folder: Path, *, split: str, **changes: Any) -> None:
    """A training in `folder`, by the stage's script; `lengths.json` has the probe on the way."""
    above, folder = Path.cwd(), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("labels", f"{split}.csv", *CONTROLS.values()):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(above / name)
    os.chdir(folder)  # each training reads a params.yaml of its own
    try:
        write_params(wanted, run, **changes)
        run_stage(list_runs.main, "main", "listed")
        inputs = [f"listed/{run}.json", seed, wanted.imagenette / split, f"{split}.csv"]
        watched = scoring_on_the_way(train_simclr.train, folder / "lengths.json")
        with mock.patch.object(train_simclr, "train", watched):
            run_stage(train_simclr.main, *inputs, *OUTPUTS)
    finally:
        os.chdir(above)


def scoring_on_the_way(plain: Any, lengths: Path) -> Any:
    """The training `plain`, whose probe is scored after the epochs of LENGTHS too."""

    def watched(run: Any, build: Any, views: Any, squares: Any, **options: Any) -> None:
        def built(world: World) -> Training:
            training = build(world)
            end = training.end_epoch

            def end_epoch(means: dict[str, float], *, epoch: int, step: int) -> dict[str, Any]:
                row = end(means, epoch=epoch, step=step)
                if epoch in LENGTHS or epoch == run.recipe.epochs:
                    network = training.update.model
                    workers = run.recipe.workers
                    top1 = score_probe(network, squares, workers=workers, world=world)
                    known = json.loads(lengths.read_text()) if lengths.exists() else {}
                    write_json(lengths, known | {str(epoch): top1})
                return row

            training.end_epoch = end_epoch
            return training

        plain(run, built, views, squares, **options)

    return watched


def write_all(metrics: Path, out: Path) -> None:
    """The runs' scores, on the way too, and what of two one gains over the other, by score."""
    scores: dict[str, Scores] = {}
    for path in sorted(metrics.glob("*-*.json")):
        run, _, seed = path.stem.rpartition("-")
        tree = json.loads(path.read_text())
        scores.setdefault(run, {})[int(seed)] = {key: at(tree, SHOWN[key]) for key in SHOWN} | {
            f"top-1 after {epoch}": top1 for epoch, top1 in tree["top1_by_epoch"].items()
        }
    below, above = (scores.get(run, {}) for run in PAIR)
    if not scores:
        raise SystemExit(f"{metrics}: no scores here, which `train` writes as RUN-SEED.json")
    if below.keys() != above.keys() or not below:
        raise SystemExit(f"{metrics}: {' and '.join(PAIR)} are to have the same seeds")
    found: dict[str, Table] = {
        "runs": {
            run: {key: mean_se(np.array(each)) for key, each in by_score(seeds).items()}
            for run, seeds in scores.items()
        },
        "guided_minus_baseline": differences(above, below),
    }
    for run in sorted(scores.keys() & CONTROLS):
        found[f"guided_minus_{run}"] = differences(above, scores[run])
        found[f"{run}_minus_baseline"] = differences(scores[run], below)
    seeds = ", ".join(f"{run} {len(each)}" for run, each in scores.items())
    texts = dict.fromkeys(found, ("", "Paired over the seeds of both; Holm over the rows."))
    texts["runs"] = ("", f"Seeds: {seeds}.")
    out.mkdir(parents=True, exist_ok=True)
    write_tables(out, found, texts=texts)
    for key in found:
        print(f"{key}\n\n{(out / f'{key}.md').read_text()}")


def differences(above: Scores, below: Scores) -> Table:
    """What a run has more than another, by score, over the seeds of both."""
    seeds = sorted(above.keys() & below.keys())
    pair = [by_score({seed: each[seed] for seed in seeds}) for each in (above, below)]
    tests = {
        key: paired_t(*(np.array(each[key]) for each in pair))
        for key in pair[0]
        if key not in BESIDE
    }
    return {
        key: {
            "difference": Mean(test.n, test.difference, test.se),
            "seeds": test.n,
            "p": test.p if test.p is not None else "n/a",
            "p (Holm)": corrected if corrected is not None else "n/a",
            "could have been seen": smallest(test) or "n/a",
        }
        for (key, test), corrected in zip(tests.items(), holm([test.p for test in tests.values()]))
    }


def by_score(seeds: Scores) -> dict[str, list[float]]:
    """Each score of all seeds."""
    keys = next(iter(seeds.values()))
    return {key: [each[key] for each in seeds.values()] for key in keys}


def at(tree: Any, path: str) -> float:
    """The number at a path of keys joined by dots."""
    for key in path.split("."):
        tree = tree[key]
    return float(tree)


def smallest(test: TTest) -> float | None:
    """The difference that so many seeds show in four of five studies (p < 0.05, two-sided)."""
    if not test.se:
        return None
    return test.se * float(stdtrit(test.n - 1, 0.975) + stdtrit(test.n - 1, POWER))


if __name__ == "__main__":
    main(sys.argv[1:])
