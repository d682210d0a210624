"""Key maps: patterns with one part and with any rest, both ways, first row first."""

import pytest
import torch

from masquerade.core.keymap import Key, official_name, to_official, to_ours

ROWS = (
    Key("net.layers.*.mlp.linears.0.*", "trunk.*.hidden.*"),
    Key("net.layers.*", "trunk.*"),
    Key("head.w", "out.weight", to_ours=lambda w: w.T, to_official=lambda w: w.T),
)


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("net.layers.12.mlp.linears.0.weight", "trunk.12.hidden.weight"),
        ("net.layers.0.mlp.linears.0.norm.running_mean", "trunk.0.hidden.norm.running_mean"),
        ("net.layers.3.bias", "trunk.3.bias"), ("head.w", "out.weight"),
    ],
)  # fmt: skip
def test_names_go_both_ways(official: str, ours: str) -> None:
    state = {official: torch.arange(6).reshape(2, 3)}
    mapped, unknown = to_ours(state, ROWS)
    assert list(mapped) == [ours]
    assert unknown == []
    assert official_name(ours, ROWS) == official
    assert torch.equal(to_official(mapped, ROWS)[official], state[official])


def test_a_star_before_another_stands_for_one_part_only() -> None:
    assert ROWS[0].rename("net.layers.1.2.mlp.linears.0.w") is None
    assert ROWS[1].rename("net.layers.1.2.mlp.linears.0.w") == "trunk.1.2.mlp.linears.0.w"
    assert Key("a+b.*", "c.*").rename("aab.x") is None  # other signs stand for themselves


def test_unknown_names_are_told() -> None:
    mapped, unknown = to_ours({"other": torch.ones(1)}, ROWS)
    assert (mapped, unknown) == ({}, ["other"])
    with pytest.raises(KeyError, match="other"):
        official_name("other", ROWS)
