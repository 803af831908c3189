import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attnlabels.models.projector import predictor, projector


def build(*, layers, n_outputs=4):
    torch.manual_seed(0)
    return projector(6, layers=layers, n_outputs=n_outputs)


@pytest.mark.parametrize("layers, widths", [(1, [4]), (2, [6, 4]), (3, [6, 6, 4])])
def test_hidden_layers_are_as_wide_as_the_features(layers, widths):
    parts = [type(each) for each in build(layers=layers)]
    one = [nn.Linear, nn.BatchNorm1d]
    assert parts == [*[*one, nn.ReLU] * (layers - 1), *one]
    linear = [each for each in build(layers=layers) if isinstance(each, nn.Linear)]
    assert [each.out_features for each in linear] == widths
    assert all(each.bias is None for each in linear)


def test_linear_weights_start_with_deviation_one_hundredth():
    weight = projector(400, layers=2, n_outputs=128)[0].weight
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert weight.mean().item() == pytest.approx(0, abs=1e-4)


def test_the_last_norm_has_a_gain_but_no_shift():
    head = build(layers=3)
    norms = [each for each in head if isinstance(each, nn.BatchNorm1d)]
    assert [each.bias.requires_grad for each in norms] == [True, True, False]
    assert all(each.weight.requires_grad for each in norms)
    optimizer = torch.optim.SGD([each for each in head.parameters() if each.requires_grad], lr=1.0)
    x = torch.randn(8, 6)
    for _ in range(3):
        F.mse_loss(head(x), torch.ones(8, 4)).backward()
        optimizer.step()
    assert norms[-1].bias.eq(0).all() and norms[0].bias.ne(0).any()


def test_outputs_are_two_linear_layers_normalised_over_the_batch():
    head, x = build(layers=2), torch.randn(8, 6)

    def norm(y):
        return (y - y.mean(dim=0)) / (y.var(dim=0, correction=0) + 1e-5).sqrt()

    expected = norm(norm(x @ head[0].weight.T).relu() @ head[3].weight.T)
    torch.testing.assert_close(head(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("norm", "learnt"), [("gain", ["weight"]), ("plain", []), ("none", [])])
def test_the_last_norm_is_the_one_asked_for(norm, learnt):
    head = projector(6, layers=3, n_hidden=9, n_outputs=4, norm=norm)
    linear = [each for each in head if isinstance(each, nn.Linear)]
    assert [tuple(each.weight.shape) for each in linear] == [(9, 6), (9, 9), (4, 9)]
    norms = [each for each in head if isinstance(each, nn.BatchNorm1d)]
    assert [each.num_features for each in norms] == ([9, 9] if norm == "none" else [9, 9, 4])
    last = [name for name, each in head[-1].named_parameters() if each.requires_grad]
    assert last == (["weight"] if norm == "none" else learnt)
    z = head(torch.randn(64, 6))
    assert torch.allclose(z.std(dim=0), torch.ones(4), atol=0.05) == (norm != "none")


def test_a_predictor_answers_in_the_space_of_projections():
    torch.manual_seed(0)
    head, z = predictor(4, n_hidden=3), torch.randn(8, 4)
    y = z @ head[0].weight.T
    hidden = ((y - y.mean(dim=0)) / (y.var(dim=0, correction=0) + 1e-5).sqrt()).relu()
    assert hidden.shape == (8, 3)
    torch.testing.assert_close(head(z), hidden @ head[3].weight.T + head[3].bias)
