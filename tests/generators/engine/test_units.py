"""Units: any split is the same rows, each once."""

from hypothesis import given
from hypothesis import strategies as st

from masquerade.generators.engine.pictures import picture_format
from masquerade.generators.engine.plan import Layout, Plan
from masquerade.generators.engine.units import batches, member, n_units, stem, unit, units


def plan(identities, images, shard, batch):
    return Plan(
        generator="ovals:Ovals", generator_hash="0", identities=identities,
        images_per_identity=images, picture=picture_format("png"),
        layout=Layout(images_per_shard=shard, batch_size=batch),
    )  # fmt: skip


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 50), st.integers(1, 20))
def test_units_and_batches_hold_every_row_once_in_order(identities, images, shard, batch):
    made = plan(identities, images, shard, batch)
    rows = []
    for each in units(made):
        assert each == unit(made, each.number)
        for ids, numbers in batches(made, each):
            assert 1 <= len(ids) == len(numbers) <= batch
            rows += zip(ids.tolist(), numbers.tolist(), strict=True)
    assert rows == [(i, n) for i in range(identities) for n in range(images)]
    assert n_units(made) == len(list(units(made)))


def test_names_sort_as_rows_do():
    made = plan(120, 11, 7, 7)
    names = [member(made, row) for row in range(made.images)]
    assert names == sorted(names)
    assert names[-1] == f"{stem(119, 10)}.png" == "0000119_0010.png"
