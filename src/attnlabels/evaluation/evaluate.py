"""The benchmarks of the paper for any frozen encoder, as `attnlabels evaluate` runs them."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from threadpoolctl import threadpool_limits

from attnlabels.evaluation.agreement import Agreement, People
from attnlabels.evaluation.benchmarks import CURVE, Extract, Scores, Scoring, score_sets
from attnlabels.evaluation.datasets import Opened, open_sets, whole_sets
from attnlabels.evaluation.encoders import FrozenEncoder, Shown, open_encoder
from attnlabels.evaluation.extraction import encode_squares, fingerprint, kept_features
from attnlabels.evaluation.students import Precision
from attnlabels.files.damage import NO_TREE, refusing
from attnlabels.images.broken import Broken
from attnlabels.pipeline.places import settle
from attnlabels.pipeline.writing import write_json, write_rows
from attnlabels.processes.checkpoint import alone_at, scratch_root
from attnlabels.processes.world import own_device
from attnlabels.testsets.image_sets import ImageSet, Squares

BENCHMARKS = ("probe", "knn", "robustness", "retrieval", "retrieval-c", "alignment")
STAGES = (
    "evaluate",
    "probe_linear",
    "probe_knn",
    "score_robustness",
    "score_retrieval",
    "align_attention",
)
ANOTHER = "pass --name, or another --out"


@dataclass(frozen=True, kw_only=True)
class Running:
    """How an encoder is run over images; scores change with `precision` alone, and by rounding."""

    precision: Precision = "fp32"
    batch_size: int = 256  # images
    workers: int = 0  # processes that read, decode and corrupt
    threads: int = 1  # of the probe's BLAS
    cache: Path | None = None  # where features are kept; None: `default_cache()`


def evaluate(
    encoder: str,
    *,
    on: Sequence[str],
    out: Path,
    weights: Path | None = None,
    prefix: str | None = None,
    imagenet: Path | None = None,
    imagenet_c: Path | None = None,
    imagenet_labels: Path | None = None,
    cifar10: Path | None = None,
    cifar10_c: Path | None = None,
    attention: Mapping[str, Path] = {},
    labels: Path | None = None,
    teacher: Path | None = None,
    name: str | None = None,
    seed: int = 0,
    broken: Broken = "stop",
    shown: Shown = Shown(),
    scoring: Scoring = Scoring(),
    running: Running = Running(),
) -> dict[str, dict[str, Any]]:
    """Score a frozen encoder; returns what was written, by stage.

    `encoder` is a checkpoint of ours, an ONNX or TorchScript file that gives features, or
    `timm:NAME` or `torchvision:NAME` with a file of `weights`, of which `prefix` takes one network.
    `on` names the benchmarks, run on all data that is given: `imagenet`, `train` and `val` in class
    folders or labelled in a CSV, and `cifar10`; `imagenet_c` and `cifar10_c`, else corruptions are
    generated; recordings `attention`, readouts fitted on `labels` or across their folds. `broken`
    image files stop before all else, all named, or are left out. Written are
    `out/<stage>/<name>-<seed>.json`, each once finished, beside what other calls find on other
    sets, by like settings, also meanwhile. Raises ValueError or OSError for what does not fit.
    """
    written = Written(out, f"{name or _name(encoder)}-{seed}")
    _require_benchmarks(on, written.run, of_people=bool(attention or labels or teacher))
    device, precision, drawn = own_device(), running.precision, scoring.test_seed
    people = People(attention, labels, teacher, scoring.readouts)
    aligned: Iterable[Scores] = ()
    if "alignment" in on:
        aligned = Agreement(encoder, people, weights, prefix, shown, running.batch_size, seed)
    opened = open_encoder(
        encoder, weights=weights, prefix=prefix, shown=shown, device=device, precision=precision
    )
    about = _about(encoder, opened, scoring.of(on) | people.of(on))
    written.require_of(about)
    sets = open_sets(imagenet, imagenet_c, imagenet_labels, cifar10, cifar10_c, on=on, seed=drawn)
    score = partial(score_sets, on=on, scoring=scoring, seed=seed)
    with threadpool_limits(running.threads, user_api="blas"):
        scored = _scores(opened, sets, score, about, broken=broken, running=running)
        return written.add_all(chain(scored, aligned))


class Written:
    """The files of a run in the folder `out`, and what is found now, by stage.

    What the files hold stays beside that, but for the same sets' scores: what earlier calls found,
    and what others find that run meanwhile. Raises OSError if one of them cannot be written, and
    ValueError for one that is not as it was written.
    """

    def __init__(self, out: Path, run: str) -> None:
        self.out, self.run = out, run
        settle(*map(self._file, STAGES))
        self.scores: dict[str, dict[str, Any]] = {}
        self.about: dict[str, Any] = {"scoring": {}}
        self._read()

    def require_of(self, about: Mapping[str, Any]) -> None:
        """Raise FileExistsError where the scores that are there are of another encoder.

        Of another file or another network in it, or of one that was run or shown images otherwise.
        Or where a stage has scores by other settings than `about["scoring"]` has of it, or one that
        it does not name has scores on other images than `about["images"]`.
        """
        before = self.there[STAGES[0]]
        # the file may lie elsewhere, and what is left out is of single sets
        passed = ("scoring", "encoder", "left_out", "images")
        told = {key: value for key, value in about.items() if key not in passed}
        if unlike := _unlike(before, told):
            raise FileExistsError(
                f"{self.out / STAGES[0] / self.run}.json and the scores of that name are of "
                f"{before.get('encoder')} with another {' and '.join(unlike)}; {ANOTHER}"
            )
        for stage, now in about["scoring"].items():
            then = self.settings.get(stage, {})
            if unlike := _unlike(then, now):
                raise FileExistsError(
                    f"{self.out / stage / self.run}.json was scored with "
                    f"{' and '.join(f'{key} {then[key]}, not {now[key]}' for key in unlike)}; "
                    f"{ANOTHER}"
                )
        others = [self.there[stage] for stage in STAGES[1:] if stage not in about["scoring"]]
        for name in _unlike(before.get("images", {}), about.get("images", {})):
            of_set = name.rpartition("_")[0]
            if any(key.startswith(of_set) for tree in others for key in tree):
                raise FileExistsError(
                    f"{self.out / STAGES[0] / self.run}.json: there are scores of that name on "
                    f"other images of {name}; {ANOTHER}"
                )

    def add_all(self, found: Iterable[Scores]) -> dict[str, dict[str, Any]]:
        """Write each as it comes; all that is found."""
        for each in found:
            self.add(each)
        return self.scores

    def add(self, found: Scores) -> None:
        """Write the stage's file, with what is in it by now, and by which settings it was scored.

        Raises FileExistsError as `require_of` does, where another call was there first.
        """
        stage, now = found.stage, found.found
        self.scores.setdefault(stage, {}).update(now)
        if stage == STAGES[0]:
            self.about = now
        else:
            scoring = {each: how for each, how in self.about["scoring"].items() if each == stage}
            now = self.about | {"scoring": scoring}
        place = self._file(STAGES[0])
        place.parent.mkdir(parents=True, exist_ok=True)
        with alone_at(place.with_name(f".{self.run}.lock")):
            self._read()
            self.require_of(now)
            if (told := self._of_all_calls(now)) != self.there[STAGES[0]]:
                write_json(place, told)
            if found.curves:
                _add_rows(self._file(stage).with_suffix(".csv"), found.curves)
            if stage != STAGES[0]:
                write_json(self._file(stage), self.there[stage] | found.found)

    def _file(self, stage: str) -> Path:
        return self.out / stage / f"{self.run}.json"

    def _read(self) -> None:
        """What is there, and the settings of what is scored: those of other files may change."""
        self.there = {stage: _read_tree(self._file(stage)) for stage in STAGES}
        told = self.there[STAGES[0]].get("scoring", {})
        self.settings = {stage: told[stage] for stage in told if self.there.get(stage)}

    def _of_all_calls(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of the encoder, and of single sets and stages where other calls had others.

        Of a stage without scores also by a call that is to find them, or did not come so far.
        """
        before = self.there[STAGES[0]]
        of_sets = {key: before.get(key, {}) | now.get(key, {}) for key in ("left_out", "images")}
        scoring = {each: self.settings.get(each, {}) | how for each, how in now["scoring"].items()}
        scoring = before.get("scoring", {}) | scoring
        return {**before, **now, **of_sets, "scoring": scoring}


def _unlike(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys that both have, with another value each."""
    return [key for key, value in now.items() if before.get(key, value) != value]


def _read_tree(path: Path) -> dict[str, Any]:
    """What an earlier call left; nothing where none was."""
    with refusing(NO_TREE, path, what="not as it was written", cure="name another --out"):
        tree = dict(json.loads(path.read_bytes()).items()) if path.is_file() else {}
        of_sets = (tree.get(key, {}) for key in ("left_out", "images"))
        for each in (*of_sets, *tree.get("scoring", {}).values()):
            dict(each.items())
        return tree


def _add_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of curves in the place of those of the same images, beside all others."""
    of = CURVE[: CURVE.index("k")]  # what a curve is of

    def images(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[key]) for key in of)

    new = {images(row) for row in rows}
    there: list[Mapping[str, Any]] = []
    if path.is_file():
        with open(path, newline="") as file:
            there = [row for row in csv.DictReader(file) if images(row) not in new]
    write_rows(path, [*there, *rows], columns=CURVE)


def default_cache() -> Path:
    """`features` in `$ATTNLABELS_SCRATCH`, or in `attnlabels` of the user's cache."""
    return scratch_root() / "features"


def _open_cache(cache: Path | None) -> Path:
    """The folder of features, made if need be. Raises OSError if nothing can be written in it."""
    try:
        cache = cache or default_cache()
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=cache):
            return cache
    except OSError as error:
        why = error.strerror or "no home folder"
        raise OSError(
            f"{cache or 'the cache'}: no place for features ({why}); pass --cache, or set "
            "ATTNLABELS_SCRATCH, with a folder that can be written"
        ) from error


def _scores(
    opened: FrozenEncoder,
    sets: Mapping[str, Opened],
    score: Callable[[Mapping[str, Opened], Extract], Iterator[Scores]],
    about: dict[str, Any],
    *,
    broken: Broken,
    running: Running,
) -> Iterator[Scores]:
    """What it is `about`, and what it scores on the images of `sets` that can be read, if any."""
    if not sets:
        yield Scores("evaluate", about)
        return
    cache = _open_cache(running.cache)
    sets, left_out = whole_sets(sets, broken=broken, cache=cache, workers=running.workers)
    digests = {each.name: each.digest() for opened in sets.values() for each in opened.clean}
    yield Scores("evaluate", about | {"left_out": left_out, "images": digests})
    yield from score(sets, _extractor(opened, running, cache))


def _require_benchmarks(on: Sequence[str], run: str, *, of_people: bool) -> None:
    """Raises ValueError for a benchmark that is unknown, and a run that is no part of a name.

    And for data `of_people` if alone others are asked for.
    """
    if not on or not {*on} <= {*BENCHMARKS}:
        raise ValueError(
            f"on {', '.join(on) or 'nothing'}: expected one or more of {', '.join(BENCHMARKS)}"
        )
    if of_people and "alignment" not in on:
        raise ValueError(
            "attention, labels and teacher are for alignment, which is not asked for; add it to "
            "on, or leave them out"
        )
    if Path(run).name != run:
        raise ValueError(f"the name {run!r} is to be part of a file's; leave out what is not")


def _extractor(opened: FrozenEncoder, running: Running, cache: Path) -> Extract:
    """A function from a set to the folder of its features, made now or kept from before."""
    pin_memory = own_device().type == "cuda"

    def encode(images: ImageSet) -> Any:
        squares = Squares(
            images,
            size=opened.view.size,
            crop=opened.view.crop if images.crops else 1.0,
            batch_size=running.batch_size,
            interpolation=opened.view.interpolation,
        )
        return encode_squares(
            squares, opened.encode, workers=running.workers, pin_memory=pin_memory
        )

    def extract(images: ImageSet) -> Path:
        key = fingerprint(images, opened.identity)
        return kept_features(images, encode, folder=cache / f"{images.name}-{key}")

    return extract


def _name(encoder: str) -> str:
    kind, _, name = encoder.partition(":")
    return f"{kind}-{name}" if name else Path(encoder).stem


def _about(encoder: str, opened: FrozenEncoder, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is scored, and by which settings, as JSON has it: equal to what is read again."""
    identity = {"encoder": encoder, **opened.identity, "n_features": opened.n_features}
    return dict(json.loads(json.dumps({**identity, "scoring": settings})))
