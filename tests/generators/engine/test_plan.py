"""The plan: what decides the bytes, and what is refused."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masquerade.core.errors import DataError, MasqueradeError, UsageError, WeightsError
from masquerade.core.hashing import sha256_file
from masquerade.generators.engine.plan import layout, read_plan
from masquerade.generators.engine.synthesis import estimate, synthesize


def test_hash_of_the_plan_is_the_sha256_of_its_file(finished):
    plan = read_plan(finished)
    assert plan.hash() == sha256_file(finished / "plan.json")
    assert (plan.generator, plan.identities, plan.images) == ("ovals:Ovals", 12, 48)
    assert plan.prepared == {
        "identities.npy": sha256_file(finished / "prepared" / "identities.npy")
    }
    assert plan.settings == {"size": 16, "shift": 2.0, "pause_s": 0.0}
    text = (finished / "plan.json").read_text()
    assert str(finished) not in text, "the plan says nothing of where it lies"


def test_prepared_identities_depend_on_the_seed_only(request_for, tmp_path):
    hashes = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthesize(request_for(tmp_path / name, 3, 1, seed=seed))
        hashes.append(read_plan(tmp_path / name).prepared["identities.npy"])
    assert hashes[0] == hashes[1] != hashes[2]


@given(st.integers(1, 2_000_000), st.integers(1, 10_000), st.integers(1, 512))
def test_layout_keeps_identities_whole_where_they_fit(identities, images, batch):
    made = layout(identities, images, batch)
    assert 1 <= made.images_per_shard <= 1000 or made.images_per_shard <= batch
    assert made.images_per_shard % images == 0 or made.images_per_shard < images


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 7}, "seed is 0 there and 7 now"),
        ({"identities": 13}, "identities is 12 there and 13 now"),
        ({"settings": {"shift": 1.5}}, "settings.shift is 2.0 there and 1.5 now"),
        ({"format": "png"}, "picture.format is 'jpg' there and 'png' now"),
        ({"batch_size": 8}, "layout.batch_size is 4 there and 8 now"),
    ],
)
def test_folder_of_another_plan_is_refused_and_left_alone(
    request_for, finished, snapshot, change, named
):
    before = snapshot(finished)
    with pytest.raises(UsageError, match=named):
        synthesize(replace(request_for(finished), **change))
    with pytest.raises(UsageError, match=named):
        estimate(replace(request_for(finished), **change))
    assert snapshot(finished) == before


def test_folder_with_other_files_or_a_file_is_refused(request_for, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(UsageError, match=r"holds other files \(thesis\.txt"):
        synthesize(request_for(tmp_path / "mine"))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="is a file"):
        synthesize(request_for(tmp_path / "mine" / "thesis.txt"))


@pytest.mark.parametrize(
    ("identities", "images", "named"),
    [(0, 4, "--identities 0"), (10_000_001, 1, "--identities"), (3, 0, "--images-per-identity 0"),
     (3, 10_001, "--images-per-identity 10001")],
)  # fmt: skip
def test_counts_that_names_cannot_carry_are_refused(
    request_for, tmp_path, identities, images, named
):
    with pytest.raises(UsageError, match=named):
        synthesize(request_for(tmp_path / "set", identities, images))
    assert not (tmp_path / "set").exists()


def test_unknown_setting_names_the_nearest(request_for, tmp_path):
    with pytest.raises(UsageError, match=r"unknown setting 'shfit'; did you mean 'shift'\?"):
        synthesize(request_for(tmp_path / "set", settings={"shfit": 1}))


def test_weights_of_another_method_and_other_weights_are_refused(request_for, tmp_path):
    foreign, own, later = (tmp_path / name for name in ("foreign", "own", "later"))
    foreign.write_bytes(b"mae")
    own.write_bytes(b"ovals 1")
    later.write_bytes(b"ovals 2")
    out = tmp_path / "set"
    with pytest.raises(WeightsError, match="weights of another method"):
        synthesize(request_for(out, weights=foreign))
    assert not out.exists()
    synthesize(request_for(out, weights=own))
    with pytest.raises(UsageError, match="generator_hash is"):
        synthesize(request_for(out, weights=later))


def test_damaged_plan_and_changed_prepared_file_are_named(request_for, finished):
    prepared = finished / "prepared" / "identities.npy"
    whole = prepared.read_bytes()
    prepared.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DataError, match=r"prepared/identities\.npy has the sha256"):
        synthesize(request_for(finished))
    prepared.unlink()
    with pytest.raises(DataError, match=r"prepared/identities\.npy is missing"):
        synthesize(request_for(finished))
    prepared.write_bytes(whole)
    values = json.loads((finished / "plan.json").read_text())
    (finished / "plan.json").write_text(json.dumps(values | {"identities": "many"}))
    with pytest.raises(DataError, match=r"plan\.json is damaged: .*identities"):
        synthesize(request_for(finished))
    (finished / "plan.json").write_text("{")
    with pytest.raises(DataError, match=r"plan\.json is damaged"):
        synthesize(request_for(finished))


def test_killed_preparation_leaves_nothing_that_stands_in_the_way(
    ovals, request_for, tmp_path, snapshot, monkeypatch
):
    def halfway(self, n_identities, settings, seed, folder, progress):
        (folder / "half.npy").write_bytes(b"half")
        raise KeyboardInterrupt

    out = tmp_path / "set"
    with monkeypatch.context() as patched:
        patched.setattr(ovals.Ovals, "prepare", halfway)
        with pytest.raises(KeyboardInterrupt):
            synthesize(request_for(out))
    (out / ".prepared.1.tmp").mkdir()  # of a process that could not clean up
    synthesize(request_for(out))
    synthesize(request_for(tmp_path / "straight"))
    assert snapshot(out) == snapshot(tmp_path / "straight")


def test_fact_named_like_a_column_is_refused(ovals, request_for, tmp_path, monkeypatch):
    monkeypatch.setattr(ovals.Ovals, "fact_types", {"shard": str})
    with pytest.raises(MasqueradeError, match="declares the fact 'shard'"):
        synthesize(request_for(tmp_path / "set"))


def test_wrong_engine_quality_and_workers_are_one_sentence(request_for, tmp_path):
    for more, named in (
        ({"engine": "rey"}, r"unknown engine 'rey'; did you mean 'ray'\?"),
        ({"quality": 0}, r"picture\.quality"),
        ({"quality": 80, "format": "png"}, "PNG is loss-free"),
        ({"batch_size": -1}, r"layout\.batch_size"),
        ({"workers": 0}, "--workers 0"),
    ):
        with pytest.raises(UsageError, match=named):
            synthesize(request_for(tmp_path / "set", **more))
