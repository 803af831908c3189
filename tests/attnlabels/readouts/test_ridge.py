import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from attnlabels.readouts import ridge
from attnlabels.readouts.ridge import Standardised, Sums, fit_best, total


def sums_of(x: torch.Tensor, y: torch.Tensor) -> Sums:
    """Those of rows that come in three batches."""
    sums = Sums.none(x.shape[1], x.device)
    for rows in torch.arange(len(x)).split(-(-len(x) // 3)):
        sums.add(x[rows], y[rows])
    return sums


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.normal(5, (0.1, 1, 30), (200, 3))
    y = x @ (2.0, -1.0, 0.05) + 7 + rng.normal(0, 0.2, 200)
    return torch.from_numpy(x), torch.from_numpy(y)


def test_the_line_is_scikit_learns_of_standardised_columns(rows):
    x, y = rows
    scale = x.numpy().std(axis=0)
    line = Standardised(sums_of(x, y)).fit(0.1)
    theirs = Ridge(alpha=0.1 * len(x)).fit(x.numpy() / scale, y.numpy())
    np.testing.assert_allclose(line.weight, theirs.coef_ / scale, rtol=1e-8)
    assert float(line.bias) == pytest.approx(theirs.intercept_, rel=1e-8)


def test_the_error_is_that_over_the_rows(rows):
    x, y = rows
    line = Standardised(sums_of(x[:150], y[:150])).fit(0.01)
    expected = ((x[150:] @ line.weight + line.bias - y[150:]) ** 2).mean()
    assert line.error(sums_of(x[150:], y[150:])) == pytest.approx(float(expected), rel=1e-8)


def test_sums_of_parts_are_those_of_all_rows_and_leave_the_parts_alone(rows):
    x, y = rows
    parts = [sums_of(x[:50], y[:50]), sums_of(x[50:], y[50:])]
    joined, whole = total(parts), sums_of(x, y)
    assert joined.n == whole.n and parts[0].n == 50
    torch.testing.assert_close(joined.xx, whole.xx)
    torch.testing.assert_close(joined.xy, whole.xy)
    torch.testing.assert_close(parts[0].xx, x[:50].T @ x[:50])


def test_a_constant_column_has_no_weight(rows):
    x, y = rows
    flat = torch.cat([x, torch.full((len(x), 1), 3.0)], dim=1)
    line = Standardised(sums_of(flat, y)).fit(1e-6)
    assert line.weight[3] == 0 and torch.isfinite(line.weight).all()


def test_an_exact_line_is_found_with_hardly_a_penalty(rows):
    x, _ = rows
    y = x @ torch.tensor([2.0, -1.0, 0.05], dtype=torch.float64) + 7
    line = fit_best([sums_of(x[i::5], y[i::5]) for i in range(5)], development=2)
    torch.testing.assert_close(x @ line.weight + line.bias, y, atol=1e-5, rtol=1e-5)
    assert line.penalty < 1e-6 and line.why_ended is None


def test_a_search_that_ends_at_its_limit_says_so(rows, monkeypatch):
    monkeypatch.setattr(ridge, "LEAST", 1e-4)  # of an exact line the best is as near 0 as can be
    x, _ = rows
    y = x @ torch.tensor([2.0, -1.0, 0.05], dtype=torch.float64)
    line = fit_best([sums_of(x[i::5], y[i::5]) for i in range(5)], development=2)
    assert line.penalty == pytest.approx(1e-4) and line.why_ended == "the search ends at 0.0001"


def test_noise_asks_for_a_penalty_beyond_the_grid(rows):
    rng = np.random.default_rng(1)
    x, y = torch.from_numpy(rng.normal(size=(60, 40))), torch.from_numpy(rng.normal(size=60))
    line = fit_best([sums_of(x[i::2], y[i::2]) for i in range(2)], development=0)
    assert line.penalty > 1 and line.why_ended is None


def test_dependent_columns_end_the_search_and_are_fitted(rows):
    x, y = rows
    doubled = torch.cat([x, x], dim=1)
    line = fit_best([sums_of(doubled[i::2], y[i::2]) for i in range(2)], development=0)
    alone = fit_best([sums_of(x[i::2], y[i::2]) for i in range(2)], development=0)
    torch.testing.assert_close(
        doubled @ line.weight + line.bias, x @ alone.weight + alone.bias, atol=0.02, rtol=0.02
    )


def test_too_few_parts_are_refused(rows):
    with pytest.raises(ValueError, match="too few images to fit a readout on"):
        fit_best([sums_of(*rows)], development=0)
    with pytest.raises(ValueError, match="too few images"):
        fit_best([sums_of(*rows), Sums.none(3, torch.device("cpu"))], development=0)
