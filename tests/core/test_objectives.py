"""Objectives by hand-made values."""

import math

import pytest
import torch

from masquerade.core import objectives
from masquerade.core.masking import Mask
from masquerade.core.objectives import normalize_tubelets, tubelet_mse

# one sample of three tokens: token 0 visible, tokens 2 and 1 hidden
MASK = Mask(visible=torch.tensor([[0]]), hidden=torch.tensor([[2, 1]]))
TARGET = torch.tensor([[[9.0, 9.0], [1.0, 3.0], [0.0, 4.0]]])


def test_patch_mse_compares_the_hidden_patches_in_their_order() -> None:
    prediction = torch.tensor([[[0.0, 4.0], [1.0, 1.0]]])  # tokens 2 and 1
    loss = objectives.patch_mse(prediction, TARGET, MASK, normalize=False)
    assert loss.item() == pytest.approx(1.0)  # by hand: (0 + 0 + 0 + 4) / 4


def test_patch_mse_leaves_visible_predictions_out() -> None:
    mask = MASK.predicting_all()
    prediction = TARGET + torch.tensor([[[5.0], [1.0], [2.0]]])
    loss = objectives.patch_mse(prediction, TARGET, mask, normalize=False)
    assert loss.item() == pytest.approx((1 + 4) / 2)


@pytest.mark.parametrize(("patch", "wanted"), [(16, 767 / 768), (4, 47 / 48)])
def test_zero_prediction_of_normalized_patches_costs_the_unbiased_variance(patch, wanted) -> None:
    """Card mae §9.3: (n − 1)/n with n = 3p²."""
    n = 3 * patch**2
    target = torch.randn(2, 5, n, generator=torch.Generator().manual_seed(0))
    mask = Mask.from_order(torch.arange(5).expand(2, -1), 1)
    loss = objectives.patch_mse(torch.zeros(2, 4, n), target, mask)
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


def test_l1_and_smooth_l1_by_hand() -> None:
    prediction = torch.tensor([[[0.5, 4.0], [1.0, 6.0]]])
    assert objectives.l1(prediction, TARGET, MASK).item() == pytest.approx(3.5 / 4)
    # 0.5²/2 + 0 + 0 + (3 − 0.5), over 4
    assert objectives.smooth_l1(prediction, TARGET, MASK).item() == pytest.approx(2.625 / 4)


def test_scaled_cosine_error_by_hand() -> None:
    prediction = torch.tensor([[[0.0, 1.0], [-1.0, -3.0]]])  # cosines 1 and −1
    loss = objectives.scaled_cosine_error(prediction, TARGET, MASK, gamma=3)
    assert loss.item() == pytest.approx((0 + 8) / 2, rel=1e-5)


def test_scaled_cosine_error_of_a_perfect_prediction_has_no_nan_gradient() -> None:
    prediction = (TARGET[:, [2, 1]] * 3).requires_grad_()
    objectives.scaled_cosine_error(prediction, TARGET, MASK, gamma=1.5).backward()
    assert prediction.grad.isfinite().all()


def test_cross_entropy_of_uniform_logits_is_log_classes() -> None:
    ids = torch.tensor([[0, 4, 2]])
    assert objectives.cross_entropy(torch.zeros(1, 2, 5), ids, MASK).item() == pytest.approx(
        math.log(5)
    )
    sure = 50 * torch.nn.functional.one_hot(torch.tensor([[2, 4]]), 5).float()
    assert objectives.cross_entropy(sure, ids, MASK).item() < 1e-6


def test_info_nce_closed_forms() -> None:
    same = torch.ones(4, 3)
    assert objectives.info_nce(same, same).item() == pytest.approx(math.log(4))
    pairs = torch.eye(2)
    wanted = math.log(1 + math.exp(-1 / 0.5))
    assert objectives.info_nce(pairs, pairs, temperature=0.5).item() == pytest.approx(wanted)


def test_objectives_are_computed_in_float32() -> None:
    prediction = torch.full((1, 2, 2), 1.0, dtype=torch.bfloat16)
    assert objectives.patch_mse(prediction, TARGET, MASK).dtype == torch.float32


def test_tubelets_are_normalized_per_channel_with_eps_outside_the_root() -> None:
    torch.manual_seed(0)
    tubelets = torch.rand(2, 3, 24)
    normalized, mean, deviation = normalize_tubelets(tubelets)
    for channel in range(3):
        values = tubelets[1, 2, channel::3].numpy().astype("float64")
        deviated = values.std(ddof=1) + 1e-6
        wanted = (values - values.mean()) / deviated
        assert normalized[1, 2, channel::3].numpy() == pytest.approx(wanted, abs=1e-5)
        assert deviation[1, 2, channel::3].numpy() == pytest.approx([deviated] * 8, abs=1e-6)
    torch.testing.assert_close(normalized * deviation + mean, tubelets)


def test_a_zero_prediction_of_tubelets_costs_n_minus_1_over_n() -> None:
    torch.manual_seed(0)
    tubelets, mask = torch.rand(2, 4, 3 * 32), Mask.from_order(torch.arange(4).repeat(2, 1), 1)
    loss = tubelet_mse(torch.zeros(2, 3, 96), tubelets, mask)
    assert float(loss) == pytest.approx(31 / 32, abs=1e-4)


def test_only_tubelets_that_are_decoded_and_hidden_count() -> None:
    """One ratio over the batch (card, section 4), by hand."""
    torch.manual_seed(0)
    tubelets, prediction = torch.rand(2, 4, 12), torch.rand(2, 2, 12)
    mask = Mask(
        visible=torch.tensor([[0, 1], [2, 3]]), hidden=torch.tensor([[2, 3], [0, 1]]),
        predicted=torch.tensor([[1, 2], [0, 1]]),
    )  # fmt: skip
    per_token = (prediction - mask.take_predict(tubelets)).square().mean(-1)
    wanted = (per_token[0, 1] + per_token[1, 0] + per_token[1, 1]) / 3
    loss = tubelet_mse(prediction, tubelets, mask, normalize=False)
    torch.testing.assert_close(loss, wanted)
