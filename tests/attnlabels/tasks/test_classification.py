import numpy as np
import pytest
import torch

from attnlabels.tasks.classification import answer, head, loss, scores


def test_the_answer_is_of_the_features_mean():
    torch.manual_seed(0)
    made = head((2, 3, 4), 5)
    features = torch.rand(2, 4, 3, 3)
    mean = features.mean(dim=(2, 3), keepdim=True).expand(2, 4, 3, 3)
    nothing = torch.zeros(2, 3, 6, 6)
    assert made(features, nothing).shape == (2, 5)
    assert torch.allclose(made(features, nothing), made(mean, nothing + 1), atol=1e-6)


def test_loss_and_chances():
    logits = torch.zeros(2, 4)
    assert loss(logits, torch.tensor([0, 3])) == pytest.approx(np.log(4))
    assert torch.allclose(answer(logits), torch.full((2, 4), 0.25))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_the_loss_of_half_precisions_logits_is_that_of_single_precision(half):
    logits = torch.tensor([[9.0, 0.0]], dtype=half, requires_grad=True)
    value = loss(logits, torch.tensor([0]))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(np.log1p(np.exp(-9)), rel=1e-3)
    value.backward()
    slope = 1 / (1 + np.exp(9))
    assert logits.grad.tolist() == [pytest.approx([-slope, slope], rel=0.01)]


def test_top1_is_the_share_of_right_answers():
    answers = np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2]])
    assert scores(answers, np.array([0, 1, 1])) == {"top1": pytest.approx(2 / 3)}
