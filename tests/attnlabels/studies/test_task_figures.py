import numpy as np
import pytest

from attnlabels.pipeline.writing import write_arrays
from attnlabels.studies.task_figures import draw_points, show_masks

POINTS = [("implicit", 0.3, 0.5), ("explicit", 0.6, 0.55), ("explicit", 0.7, 0.5)]


def test_a_panel_for_each_kind_of_people_and_a_point_a_run():
    figure = draw_points({"a": POINTS, "b": POINTS[:1]}, none=[0.4, 0.5], score="F")
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    drawn = [len(each.get_offsets()) for each in figure.axes[0].collections]
    assert drawn == [1, 2]  # a family each
    (line,) = figure.axes[1].lines
    assert np.mean(line.get_ydata()) == pytest.approx(0.45)
    assert figure.axes[0].get_ylabel() == "F"


def test_masks_are_laid_over_examples(tmp_path):
    rng = np.random.default_rng(0)
    for run in ("implicit", "explicit"):
        write_arrays(
            tmp_path / f"{run}.npz",
            pictures=rng.integers(0, 255, (8, 16, 16, 3), np.uint8),
            people=rng.random((8, 16, 16)).astype(np.float32),
            masks=rng.random((8, 16, 16)).astype(np.float32),
        )
    shown = show_masks(tmp_path, ["implicit", "explicit"], task="parts")
    assert [name for name, _ in shown.rows] == ["image", "people", "implicit", "explicit"]
    assert all(len(row) == 6 and row[0].shape == (16, 16, 3) for _, row in shown.rows)


def test_a_run_without_a_mask_is_refused(tmp_path):
    write_arrays(tmp_path / "none.npz", pictures=np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"none\.npz lacks people, masks"):
        show_masks(tmp_path, ["none"], task="parts")
