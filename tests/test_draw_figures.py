import json
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

import draw_figures
from attnlabels.metrics.retrieval import k_grid
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

RUNS = {"contrastive": 0.1, "contrastive_attn_teacher": 0.5}  # name, mean CC
FIGURES = ["alignment", "attention", "labels", "retrieval", "robustness", "training"]
PARAMS = """
seeds: {seeds}
main: {{contrastive: {{}}, contrastive_attn_teacher: {{}}}}
draw_figures: {{alignment_set: eye, retrieval_corruption: fog, examples: 3}}
"""


def write_world(folder):
    """What the stages before would leave for two runs of two seeds, drawn at random."""
    (folder / "params.yaml").write_text(PARAMS.format(seeds="[0, 1]"))
    for name in ("metrics/score_robustness", "alignment", "retrieval", "curves"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    pictures = write_teacher(folder, rng)
    for name, level in RUNS.items():
        for seed in (0, 1):
            write_alignment(folder / f"alignment/{name}-{seed}", pictures, level=level, rng=rng)
            write_curves(folder, f"{name}-{seed}", level=level, rng=rng)
            write_robustness(folder / f"metrics/score_robustness/{name}-{seed}.json", level)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """That, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    write_world(tmp_path)
    return tmp_path


def cc_rows(readout, level, rng):
    cc = np.clip(rng.normal(level, 0.2, 40), -1, 1)
    return [
        {"set": subset, "image": f"{i}.jpg", "readout": readout, "cc": value}
        for subset in ("val", "eye")
        for i, value in enumerate(cc)
    ]


def write_teacher(root, rng):
    rows = [
        row
        for readout, level in (("teacher", 0.6), ("centre_prior", 0.4), ("split_half", 0.7))
        for row in cc_rows(readout, level, rng)
    ]
    pd.DataFrame(rows).to_csv(root / "alignment/teacher.csv", index=False)
    images = rng.integers(0, 256, (5, 24, 32, 3), dtype=np.uint8)
    human, maps = rng.random((2, 5, 12, 16))
    names = np.array([f"{i}.jpg" for i in range(5)])
    np.savez(root / "alignment/teacher.npz", images=images, human=human, maps=maps, names=names)
    points = np.full((5, 3, 2), -1, dtype=np.int16)
    points[:, 0], points[0, 1] = (2, 5), (11, 15)
    np.savez(
        root / "labels.npz", images=images, human=human, teacher=maps, points=points, names=names
    )
    return {"images": images, "human": human, "names": names}


def write_alignment(path, pictures, *, level, rng):
    rows = cc_rows("as_trained", level, rng) + cc_rows("refitted", level + 0.2, rng)
    pd.DataFrame(rows).to_csv(path.with_suffix(".csv"), index=False)
    trained, refitted = rng.random((2, 5, 12, 16))
    np.savez(path.with_suffix(".npz"), maps_as_trained=trained, maps_refitted=refitted, **pictures)


def write_curves(root, stem, *, level, rng):
    epochs = np.arange(1, 7)
    curve = pd.DataFrame({"epoch": epochs, "step": 10 * epochs, "lr": 0.1})
    for offset, term in enumerate(("loss", "contrastive", "kld", "nss", "probe")):
        curve[term] = offset + np.exp(-level * epochs) + rng.normal(0, 0.02, len(epochs))
    curve.to_csv(root / f"curves/{stem}.csv", index=False)
    rows = []
    for key in ("imagenet", "cifar10"):
        for corruption, severity in [("clean", 0), *(("fog", s) for s in range(1, 6))]:
            for k in k_grid(600):
                precision = 0.1 + (0.4 + 0.4 * level) / (1 + severity) * np.exp(-k / 200)
                rows.append((key, corruption, severity, k, precision, min(1, k / 600)))
    columns = ["set", "corruption", "severity", "k", "precision", "recall"]
    pd.DataFrame(rows, columns=columns).to_csv(root / f"retrieval/{stem}.csv", index=False)


def write_robustness(path, level, **changed):
    scores = {"generated": 1, "clean": 0.6 + 0.1 * level, "mean": 0.4, "mean_extra": 0.5}
    for i, corruption in enumerate((*CORRUPTIONS, *EXTRA)):
        mean = 0.3 + 0.2 * level + 0.2 * (i % 5) / 5
        scores[corruption] = {"mean": mean, **{str(s): mean for s in range(1, 6)}}
    path.write_text(json.dumps({"imagenet_c": scores | changed, "cifar10_c": scores}))


def draw(world):
    draw_figures.main(
        world / "metrics",
        world / "alignment",
        world / "retrieval",
        world / "curves",
        world / "labels.npz",
        world / "figures",
    )
    return {path.stem: path.read_bytes() for path in sorted((world / "figures").glob("*.png"))}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The figures of such a folder, as they stand."""
    folder = tmp_path_factory.mktemp("drawn")
    write_world(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return draw(folder)


def test_all_figures_are_drawn_small_and_not_blank(drawn):
    assert list(drawn) == FIGURES
    for png in drawn.values():
        assert len(png) < 300_000
        assert imread(BytesIO(png))[..., :3].std() > 0.02


def test_bytes_change_with_the_numbers_alone(drawn, world):
    before = draw(world)
    assert before == drawn
    path = world / "metrics/score_robustness/contrastive-0.json"
    write_robustness(path, 0.1, fog={"mean": 0.01})
    after = draw(world)
    assert [name for name in FIGURES if after[name] != before[name]] == ["robustness"]


def test_one_seed_is_drawn_and_files_of_another_are_not_read(world):
    (world / "params.yaml").write_text(PARAMS.format(seeds="[0]"))
    for path in world.rglob("*-1.*"):
        path.unlink()
    assert list(draw(world)) == FIGURES


def test_a_run_without_attention_has_refitted_maps_alone(world):
    text = (world / "params.yaml").read_text()
    without = text.replace("contrastive: {}", "contrastive: {attention: none}")
    (world / "params.yaml").write_text(without)
    before = draw(world)
    for seed in (0, 1):
        path = world / f"alignment/contrastive-{seed}.csv"
        rows = pd.read_csv(path)
        rows[rows["readout"] == "refitted"].to_csv(path, index=False)
        arrays = dict(np.load(path.with_suffix(".npz")))
        del arrays["maps_as_trained"]
        np.savez(path.with_suffix(".npz"), **arrays)
    assert draw(world) == before
    (world / "params.yaml").write_text(text)
    with pytest.raises(ValueError, match="contrastive-0.csv has no maps as_trained"):
        draw(world)


@pytest.mark.parametrize(
    "path, stage",
    [
        ("alignment/teacher.csv", "evaluate_teacher"),
        ("alignment/contrastive-1.csv", "align_attention"),
        ("retrieval/contrastive-1.csv", "score_retrieval"),
        ("metrics/score_robustness/contrastive-1.json", "score_robustness"),
        ("curves/contrastive-1.csv", "train_simclr"),
    ],
)
def test_a_missing_file_names_the_stage_to_run(world, path, stage):
    (world / path).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{path} is missing; run the stage {stage}"):
        draw(world)
    assert not (world / "figures").exists()


def test_maps_of_other_images_are_refused(world):
    path = world / "alignment/contrastive-0.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"names": arrays["names"][::-1]}))
    with pytest.raises(ValueError, match="contrastive-0.npz shows other images"):
        draw(world)


def test_a_corruption_without_curves_is_refused(world):
    (world / "params.yaml").write_text(PARAMS.format(seeds="[0]").replace("fog", "rain"))
    with pytest.raises(ValueError, match="lacks .'imagenet', 'rain', 1.*retrieval_corruption"):
        draw(world)


def test_a_set_without_images_is_refused(world):
    (world / "params.yaml").write_text(PARAMS.format(seeds="[0]").replace("eye", "mouse"))
    with pytest.raises(ValueError, match="no rows of the set 'mouse'"):
        draw(world)


def test_figures_are_drawn_of_a_set_without_the_extra_corruptions(world):
    for path in (world / "metrics/score_robustness").iterdir():
        report = json.loads(path.read_text())
        for name in ("mean_extra", *EXTRA):
            del report["imagenet_c"][name]
        path.write_text(json.dumps(report))
    one_set = draw(world)["robustness"]
    for path in (world / "metrics/score_robustness").iterdir():
        report = json.loads(path.read_text())
        path.write_text(json.dumps({**report, "cifar10_c": report["imagenet_c"]}))
    assert len({one_set, draw(world)["robustness"]}) == 2  # nor is room left for them
