"""Margins: each equals a loop over faces written from the papers, value and gradient."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from masquerade.core.config import build
from masquerade.core.errors import UsageError
from masquerade.core.margins import (
    STATISTICS,
    AdaMargin,
    AnyMargin,
    ArcMargin,
    CosMargin,
    MagMargin,
)
from masquerade.methods.image.arcface import ArcFaceConfig

COSINES = [-0.95, -0.3, 0.0, 0.4, 0.8, 0.97]
NORMS = [3.0, 14.0, 21.0, 26.0, 80.0, 130.0]


def ada_z(norm: float, mean: float, deviation: float, h: float) -> float:
    clipped = min(max(norm, 1e-3), 100.0)
    return min(max(h * (clipped - mean) / (deviation + 1e-3), -1.0), 1.0)


def by_hand(margin, cosine: float, norm: float, statistics: tuple[float, float]) -> float:
    """One face's changed cosine, by the formula of the paper."""
    angle = math.acos(cosine)
    if margin.kind == "arcface":
        return math.cos(angle + margin.m)
    if margin.kind == "cosface":
        return cosine - margin.m
    if margin.kind == "adaface":
        z = ada_z(norm, *statistics, margin.h)
        moved = min(max(angle - margin.m * z, 1e-3), math.pi - 1e-3)
        return math.cos(moved) - margin.m - margin.m * z
    low, high = margin.norms
    share = (min(max(norm, low), high) - low) / (high - low)
    return math.cos(angle + margin.m[0] + share * (margin.m[1] - margin.m[0]))


MARGINS = [ArcMargin(m=0.5), CosMargin(m=0.35), AdaMargin(), MagMargin()]


@pytest.mark.parametrize("margin", MARGINS, ids=lambda m: m.kind)
def test_margin_equals_a_loop(margin) -> None:
    statistics = (20.0, 9.0)
    found = margin(torch.tensor(COSINES), torch.tensor(NORMS), torch.tensor(statistics))
    wanted = [by_hand(margin, c, n, statistics) for c, n in zip(COSINES, NORMS, strict=True)]
    torch.testing.assert_close(found, torch.tensor(wanted), atol=2e-6, rtol=0)


@pytest.mark.parametrize("margin", MARGINS, ids=lambda m: m.kind)
def test_gradient_is_straight_through_or_that_of_the_formula(margin) -> None:
    """ArcFace and CosFace: 1, as in the official code. AdaFace and MagFace: by differences."""
    statistics, step = (20.0, 9.0), 1e-6
    cosines = torch.tensor(COSINES, dtype=torch.float64, requires_grad=True)
    norms = torch.tensor(NORMS, dtype=torch.float64, requires_grad=True)
    margin(cosines, norms, torch.tensor(statistics, dtype=torch.float64)).sum().backward()

    def slope(at: float, norm: float) -> float:
        above, below = (by_hand(margin, at + d, norm, statistics) for d in (step, -step))
        return (above - below) / (2 * step)

    straight = margin.kind in ("arcface", "cosface")
    wanted = [1.0 if straight else slope(c, n) for c, n in zip(COSINES, NORMS, strict=True)]
    assert cosines.grad.tolist() == pytest.approx(wanted, rel=1e-5)
    moved = norms.grad is not None and norms.grad.abs().sum() > 0
    assert moved == (margin.kind == "magface")  # AdaFace: the norm is looked at, not trained


def test_statistics_follow_the_batches() -> None:
    """By hand: mean and unbiased deviation of 10 and 30 are 20 and √200."""
    margin = AdaMargin(momentum=0.25)
    found = margin.updated(torch.tensor(STATISTICS), torch.tensor([10.0, 30.0]))
    assert found.tolist() == pytest.approx([20.0, 75.0 + 0.25 * math.sqrt(200)])
    clipped = AdaMargin(momentum=1.0).updated(found, torch.tensor([100.0, 900.0, 100.0]))
    assert clipped.tolist() == [100.0, 0.0]
    kept = margin.updated(found, torch.tensor([float("nan"), 1.0]))
    assert torch.equal(kept, found)
    assert ArcMargin().updated(found, torch.tensor([1.0])) is found


def test_penalty_of_magface_by_hand() -> None:
    found = MagMargin(weight=35.0).penalty(torch.tensor([5.0, 50.0, 500.0]))
    wanted = [35 * (a / 110**2 + 1 / a) for a in (10.0, 50.0, 110.0)]
    assert found.tolist() == pytest.approx(wanted)
    assert ArcMargin().penalty(torch.ones(3)).tolist() == [0.0, 0.0, 0.0]


@given(
    cosine=st.floats(-1, 1, width=32),
    norm=st.floats(0.125, 512, width=32),
    kind=st.sampled_from(["arcface", "cosface", "adaface", "magface"]),
)
def test_a_margin_is_finite_and_without_strength_changes_nothing(cosine, norm, kind) -> None:
    one = (torch.tensor([cosine]).requires_grad_(), torch.tensor([norm]), torch.tensor([20.0, 9.0]))
    margin = TypeAdapter(AnyMargin).validate_python({"kind": kind})
    changed = margin(*one)
    changed.sum().backward()
    assert changed.isfinite().all()
    assert one[0].grad.isfinite().all()
    none = {"m": (0.0, 0.0)} if kind == "magface" else {"m": 0.0}
    same = TypeAdapter(AnyMargin).validate_python({"kind": kind, **none})(*one)
    assert same.item() == pytest.approx(cosine, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "arcface", "m": 4.0}, r"setting 'method\.margin\.m': .*got 4\.0"),
        ({"kind": "arcface", "h": 1.0}, r"unknown setting 'method\.margin\.h'"),
        ({"kind": "arc"}, r"'method\.margin.*arcface.*cosface.*adaface.*magface"),
        ({"kind": "magface", "norms": [20, 10]}, "norms go from 20.0 to 10.0"),
    ],
)
def test_bad_margins_are_one_sentence(values, message) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        build(ArcFaceConfig, {"margin": values}, "method")
    assert "\n" not in str(caught.value)
