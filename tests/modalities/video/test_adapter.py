"""The adapter: the same clips from every form of the data, views, pictures, one-line mistakes."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from masquerade.core.draws import Draws
from masquerade.core.errors import DataError, UsageError
from masquerade.core.modality import Sample
from masquerade.core.tokens import Batch, Tokens
from masquerade.core.training.loader import Loader
from masquerade.modalities.packs import damaged_files, pack_source
from masquerade.modalities.video import Video

pytest.importorskip("av")
RNG = np.random.default_rng(0)
ARRAY = RNG.integers(0, 256, (30, 24, 40, 3), np.uint8)
SAMPLE = Sample("noise", ARRAY, 1)


def adapter(**settings):
    return Video(Video.Config(**{"size": 16, "frames": 4, "stride": 2, **settings}))


def row(seed=0):
    return Draws(seed, torch.tensor([SAMPLE.id]))


def test_clip_is_the_frames_cropped_and_normalized():
    video = adapter(size=24, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    clip = video.prepare(SAMPLE, None)["video"]
    assert clip.shape == (1, 3, 4, 24, 24)
    # by hand: the clip in the middle starts at (30 − 7) / 2, the square in the middle at 8
    frames = torch.from_numpy(ARRAY[[12, 14, 16, 18], :, 8:32]).permute(3, 0, 1, 2)
    mean, std = (torch.tensor(v)[:, None, None, None] for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    torch.testing.assert_close(clip[0], (frames / 255 - mean) / std)
    torch.testing.assert_close(video.denormalize(clip)[0], frames / 255)


@pytest.mark.parametrize("augment", ["multi_scale", "crop_flip", "flip", "none"])
def test_frames_of_a_view_are_augmented_alike(augment):
    still = Sample("still", np.repeat(ARRAY[:1], 9, axis=0))
    video = adapter(augment=augment, views=3)
    for seed in range(5):
        views = video.prepare(still, row(seed))["video"]
        assert views.shape == (3, 3, 4, 16, 16)
        assert all(torch.equal(views[:, :, 0], views[:, :, t]) for t in range(4))


def test_views_are_other_crops_of_the_same_time_and_the_first_is_the_only_ones():
    several = adapter(views=4, augment="crop_flip").prepare(SAMPLE, row())["video"]
    one = adapter(views=1, augment="crop_flip").prepare(SAMPLE, row())["video"]
    assert torch.equal(several[:1], one)
    assert len({tuple(view.flatten()[:50].tolist()) for view in several}) == 4
    slow = Sample("slow", np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None, None] * 8,
                                          (30, 20, 20, 3)).copy())  # fmt: skip
    times = adapter(views=4, augment="crop_flip").prepare(slow, row())["video"].mean((1, 3, 4))
    assert (times - times[0]).abs().max() < 1e-5


def test_training_clip_depends_on_sample_seed_and_epoch_alone():
    video = adapter(views=2)
    first = video.prepare(SAMPLE, row())["video"]
    assert torch.equal(video.prepare(SAMPLE, row())["video"], first)
    later = Draws(0, torch.tensor([SAMPLE.id]), epoch=1)
    assert not torch.equal(video.prepare(SAMPLE, later)["video"], first)


def test_half_of_the_views_are_flipped_where_it_is_asked_for():
    wide = Sample("wide", np.broadcast_to(np.arange(16, dtype=np.uint8) * 16, (9, 16, 16))[
        ..., None].repeat(3, -1).copy())  # fmt: skip
    rising = [
        bool((adapter(augment="flip").prepare(wide, row(seed))["video"].diff(dim=-1) > 0).all())
        for seed in range(200)
    ]
    assert 70 < sum(rising) < 130
    kept = adapter(augment="crop_flip", flip=False)
    assert all((kept.prepare(wide, row(s))["video"].diff(dim=-1) >= 0).all() for s in range(20))


def test_evaluation_views_are_clips_by_crops():
    views = adapter(size=24, test_clips=5, test_crops=3).prepare(SAMPLE, None)["video"]
    assert views.shape == (15, 3, 4, 24, 24)
    centre = adapter(size=24).prepare(SAMPLE, None)["video"]
    assert torch.equal(views[2 * 3 + 1], centre[0])  # the third clip's second crop


def test_every_form_of_the_data_gives_the_same_clips(tmp_path, folder):
    import tarfile

    files = Video.open(folder)
    assert list(files.keys) == ["left/a", "left/b", "right/a"]
    assert files.classes == ("left", "right")
    with tarfile.open(tmp_path / "videos.tar", "w") as tar:
        for key in files.keys:
            tar.add(folder / f"{key}.mkv", f"{key}.mkv")
            label = tmp_path / "label.json"
            label.write_text(f'{{"label": "{key.split("/")[0]}"}}')
            tar.add(label, f"{key}.json")
    lines = [f"{key}.mkv,{key.split('/')[0]}" for key in files.keys]
    (folder / "list.csv").write_text("\n".join(lines))
    pack_source(files, tmp_path / "pack")
    others = [
        Video.open(p) for p in (tmp_path / "videos.tar", folder / "list.csv", tmp_path / "pack")
    ]
    video = adapter(views=2)
    for source in others:
        assert (list(source.keys), source.classes) == (list(files.keys), files.classes)
        assert source.modality == "video"
        for i in range(3):
            sample, wanted = source.read(i), files.read(i)
            assert sample.label == wanted.label
            for draws in (None, Draws(3, torch.tensor([sample.id]))):
                given = video.prepare(sample, draws)["video"]
                assert torch.equal(given, video.prepare(wanted, draws)["video"])
    prints = {source.fingerprint() for source in (files, *others[:2])}
    assert len(prints) == 1
    assert damaged_files(files) == damaged_files(others[2]) == []


def test_pack_is_scaled_down_to_a_short_side(tmp_path, folder):
    pack_source(Video.open(folder), tmp_path / "small", 24)
    assert Video.open(tmp_path / "small").read(0).content.shape == (20, 24, 32, 3)


def test_video_that_would_fill_the_memory_is_not_packed(tmp_path, folder, monkeypatch):
    monkeypatch.setattr("masquerade.modalities.video.adapter._LARGEST_BYTES", 20 * 48 * 64 * 3 - 1)
    with pytest.raises(DataError, match="its 20 frames would take"):
        Video.whole(Video.open(folder).read(0))


def test_damaged_file_is_named_counted_and_left_out(tmp_path, folder, caplog):
    (folder / "left" / "b.mkv").write_bytes(b"nothing")
    loader = Loader(Video.open(folder), adapter(), batch_size=3, seed=0)
    batches = [batch for _, batch in zip(range(3), loader.batches(), strict=False)]
    assert [batch["video"].shape[:2] for batch in batches] == [(2, 1)] * 3
    assert [key for key, _ in loader.damaged] == ["left/b"]
    assert sum("left/b.mkv is damaged" in r.message for r in caplog.records) == 1
    assert [key for key, _ in damaged_files(Video.open(folder))] == ["left/b"]


def test_too_short_video_holds_its_last_frame_and_says_so_once(caplog):
    video = adapter(frames=8, stride=4)
    for key in ("a", "b"):
        clip = video.prepare(Sample(key, ARRAY[:6]), row())["video"]
        assert torch.equal(clip[:, :, 2:], clip[:, :, 2:3].expand(-1, -1, 6, -1, -1))
    (said,) = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert said.startswith("a has 6 frames, a clip reaches over 29: its last frame is held")


def test_too_short_video_is_refused_where_that_is_asked_for():
    with pytest.raises(DataError, match="short has 6 frames, a clip reaches over 29"):
        adapter(frames=8, stride=4, short="refuse").prepare(Sample("short", ARRAY[:6]), row())


def test_settings_out_of_range_are_one_sentence():
    from masquerade.core.config import build

    for wrong, words in (
        ({"stride": 0}, "data.stride"),
        ({"ratio": [2.0, 1.0]}, "ratio goes from 2.0 down to 1.0"),
        ({"decoder": "opencv"}, "data.decoder"),
    ):
        with pytest.raises(UsageError, match=words):
            build(Video.Config, wrong, "data")


def drawn(tmp_path, name):
    video = adapter(frames=4)
    batch = video.collate([SAMPLE] * 2, [video.prepare(SAMPLE, None)] * 2)
    tokens = Video.tokenize(batch, 2, 4)
    hidden = torch.zeros(2, tokens.count, dtype=torch.bool)
    hidden[:, : tokens.count // 2] = True
    return video.draw(batch, Tokens(tokens.values, grid=tokens.grid), hidden, tmp_path / name)


def test_film_strip_has_a_column_per_frame_and_three_rows_per_clip(tmp_path):
    path = drawn(tmp_path, "strip")
    assert path.name == "strip.png"
    with Pillow.open(path) as picture:
        pixels = np.asarray(picture)
    side, gap, header, margin = 128, 4, 18, 96
    assert pixels.shape == (header + gap + 6 * (side + gap), margin + gap + 4 * (side + gap), 3)
    rows = [pixels[header + gap + r * (side + gap) :][:side] for r in range(6)]
    first = [row[:, margin + gap :][:, :side] for row in rows]
    assert (first[0] == first[2]).all()  # the reconstruction was the input
    assert (first[1] == 128).all()  # the first slot is hidden
    assert (rows[1][:, margin + gap + 2 * (side + gap) :][:, :side] != 128).any()


@pytest.mark.parametrize(
    ("videos", "views", "shown"),
    [(8, 2, [0, 2, 4, 6]), (2, 4, [0, 1, 4, 5]), (1, 15, [0, 1, 2, 3]), (3, 1, [0, 1, 2])],
)
def test_picture_shows_four_clips_of_as_many_videos_as_there_are(tmp_path, videos, views, shown):
    video = adapter(frames=2, size=4)
    clips = torch.rand(videos, views, 3, 2, 4, 4)
    batch = Batch({"video": clips}, ids=torch.arange(videos))
    tokens = Video.tokenize(batch, 2, 4)
    hidden = torch.zeros(videos * views, tokens.count, dtype=torch.bool)
    path = video.draw(batch, tokens, hidden, tmp_path / "few.png")
    wanted = (video.denormalize(clips.flatten(0, 1)[shown]) * 255).round()
    with Pillow.open(path) as picture:
        pixels = np.asarray(picture)[22:, 100:]
    rows = [pixels[r * 132 : r * 132 + 128 : 32, :128:32] for r in range(0, 3 * len(shown), 3)]
    assert len(pixels) == 132 * 3 * len(shown)
    for row, clip in zip(rows, wanted, strict=True):
        assert (row == clip[:, 0].permute(1, 2, 0).numpy()).all()


@pytest.mark.parametrize("suffix", ["gif", "webp", "apng"])
def test_animation_has_all_frames_and_loops(tmp_path, suffix):
    path = drawn(tmp_path, f"clip.{suffix}")
    with Pillow.open(path) as picture:
        assert picture.n_frames == 4
        assert picture.info["loop"] == 0
        picture.seek(3)
        assert picture.info.get("duration", 120) == 120  # Pillow does not tell it of WebP
        assert picture.size == (4 + 3 * 132, 18 + 4 + 2 * 132)
