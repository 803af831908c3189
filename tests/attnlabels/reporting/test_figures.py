import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from attnlabels.reporting.figures import draw_points, draw_training


def test_a_run_without_a_term_is_left_out_of_its_panel(tmp_path):
    terms = {"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "contrastive": [2.0, 1.5, 1.0]}
    more = {term: [1.0, 0.5, 0.2] for term in ("kld", "nss", "probe")}
    for seed in (0, 1):
        curves = pd.DataFrame(terms | more)
        curves.to_csv(tmp_path / f"contrastive_attn_teacher-{seed}.csv", index=False)
        curves.drop(columns=["kld", "nss"]).to_csv(
            tmp_path / f"contrastive-{seed}.csv", index=False
        )
    colours = {"contrastive": "red", "contrastive_attn_teacher": "blue"}
    figure = draw_training(tmp_path, colours, seeds=(0, 1))
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 1, 1, 2]


def test_points_fall_on_the_middle_of_their_cells():
    axes = Figure().subplots()
    points = np.array([[0, 0], [11, 15], [-1, -1]], dtype=np.int16)
    draw_points(axes, points, grid=(12, 16), size=(24, 32))
    assert axes.collections[0].get_offsets().tolist() == [[0.5, 0.5], [30.5, 22.5]]  # x, y


def test_an_image_without_points_is_drawn():
    axes = Figure().subplots()
    draw_points(axes, np.full((2, 2), -1), grid=(12, 16), size=(24, 32))
    assert len(axes.collections[0].get_offsets()) == 0
