"""Reading sound: files of all kinds, tracks of videos, stretches of time, and what is wrong."""

import numpy as np
import pytest

from masquerade.core.errors import DataError
from masquerade.modalities.audio_visual.sound import SoundFile, open_sound, samples_of
from masquerade.modalities.audio_visual.timing import frame_times
from masquerade.modalities.files import Encoded
from masquerade.modalities.video.files import VideoFile


def wav(path, samples, rate=16_000, subtype=None):
    pytest.importorskip("soundfile").write(path, samples, rate, subtype=subtype)
    return path


def heard(content, *stretch):
    with open_sound(content, "it") as sound:
        return samples_of(sound, *stretch)


def file(path):
    return SoundFile(path.name, path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_audio_files_of_all_kinds_give_the_same_pitch(suffix, tmp_path, recordings) -> None:
    path = wav(tmp_path / f"a.{suffix}", recordings.tones(1.0))
    samples = heard(file(path))
    assert samples.dtype == np.float32
    assert abs(len(samples) - 16_000) < 1200  # lossy codecs add silence
    assert recordings.pitch(samples[8000:9600]) == pytest.approx(800, abs=20)
    encoded = Encoded(f"x/a.{suffix}", path.read_bytes())
    np.testing.assert_array_equal(heard(encoded), samples)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_keeps_pitch_and_time(rate, tmp_path, recordings) -> None:
    path = wav(tmp_path / "a.wav", recordings.tones(1.0, rate), rate)
    samples = heard(file(path))
    assert len(samples) == 16_000
    for tenth in range(10):
        part = samples[tenth * 1600 + 200 : tenth * 1600 + 1400]
        assert recordings.pitch(part) == pytest.approx(300 + 100 * tenth, abs=20)


def test_nothing_above_half_the_rate_folds_back(tmp_path) -> None:
    t = np.arange(48_000) / 48_000
    path = wav(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 15_000 * t), 48_000)
    assert np.abs(heard(file(path))[500:-500]).max() < 0.01


def test_six_channels_at_96_khz_are_their_mean(tmp_path, recordings) -> None:
    one = recordings.tones(0.5, 96_000)
    path = wav(tmp_path / "a.wav", np.stack([one, one, one, -one, one, one], axis=1), 96_000)
    expected = heard(file(wav(tmp_path / "b.wav", one * 4 / 6, 96_000)))
    np.testing.assert_allclose(heard(file(path)), expected, atol=1e-3)


def test_a_stretch_is_that_part_of_the_whole(tmp_path, recordings) -> None:
    path = wav(tmp_path / "a.wav", recordings.tones(2.0, 44_100), 44_100)
    whole, part = heard(file(path)), heard(file(path), 0.75, 1.5)
    assert len(part) == 12_000
    np.testing.assert_allclose(part[100:-100], whole[12_100:23_900], atol=0.02)


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac", "aac"])
def test_a_track_of_a_video_is_read_by_time(codec, tmp_path, recordings) -> None:
    path = recordings.write(tmp_path / "a.mkv", codec=codec)
    content = VideoFile("a", path)
    for start in (0.0, 1.0, 2.5):
        samples = heard(content, start, start + 0.5)
        assert len(samples) == 8000
        middle = samples[3200 + 200 : 4800 - 200]  # the third tenth of the stretch
        expected = 300 + 100 * round(start * 10 + 2)
        assert recordings.pitch(middle) == pytest.approx(expected, abs=20)


def test_a_stretch_beyond_the_end_has_what_there_is(tmp_path, recordings) -> None:
    path = recordings.write(tmp_path / "a.mkv", sound_s=2.0)
    assert len(heard(VideoFile("a", path), 1.5, 2.5)) == pytest.approx(8000, abs=2)
    assert len(heard(VideoFile("a", path), 3.0, 3.5)) == 0
    alone = file(wav(tmp_path / "a.wav", recordings.tones(1.0)))
    assert len(heard(alone, 0.5, 2.0)) == 8000
    assert len(heard(alone, 2.0, 3.0)) == 0


def test_a_video_without_sound_has_none(tmp_path, recordings) -> None:
    path = recordings.write(tmp_path / "a.mkv", sound_s=0)
    with open_sound(VideoFile("a", path), "a") as sound:
        assert sound is None


def test_samples_that_are_not_numbers_are_refused(tmp_path) -> None:
    samples = np.zeros(1000, np.float32)
    samples[500] = np.nan
    path = wav(tmp_path / "bad.wav", samples, subtype="FLOAT")
    with pytest.raises(DataError, match=r"bad.wav: 1 of 1000 samples are not finite; replace"):
        heard(file(path))


def test_floats_that_were_never_scaled_are_refused(tmp_path) -> None:
    path = wav(tmp_path / "bad.wav", np.full(1000, 20_000, np.float32), subtype="FLOAT")
    with pytest.raises(DataError, match=r"samples go up to 2e\+04, expected −1…1"):
        heard(file(path))


def test_clipped_sound_is_taken_and_said_once(tmp_path, recordings, caplog) -> None:
    loud = np.clip(recordings.tones(0.5) * 10, -1, 1)
    path = wav(tmp_path / "loud.wav", loud)
    assert len(heard(file(path))) == 8000
    assert len(heard(file(path))) == 8000
    assert sum("clipped" in record.message for record in caplog.records) == 1


def test_silence_is_silence(tmp_path) -> None:
    assert not heard(file(wav(tmp_path / "a.wav", np.zeros(500)))).any()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.mkv", "a.mp4"])
def test_damaged_files_are_named(name, tmp_path) -> None:
    pytest.importorskip("soundfile"), pytest.importorskip("av")
    path = tmp_path / name
    for data in (b"", b"RIFF\x04\0\0\0WAVE", bytes(range(256)) * 8):
        path.write_bytes(data)
        content = VideoFile(name, path) if name[-3:] in ("mkv", "mp4") else file(path)
        with pytest.raises(DataError, match=f"{name} is damaged"):
            heard(content)


def test_a_file_that_is_cut_off_is_refused_or_shorter(tmp_path, recordings) -> None:
    whole = wav(tmp_path / "a.flac", recordings.tones(2.0)).read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a.flac is damaged or no sound"):
        heard(file(tmp_path / "a.flac"))


def test_arrays_must_be_mono_float32() -> None:
    with pytest.raises(DataError, match=r"samples of shape \(2, 5\)"):
        heard(np.zeros((2, 5), np.float32))
    assert heard(np.ones(32_000, np.float32), 0.5, 1.0).shape == (8000,)


def test_frames_are_shown_at_the_times_that_the_file_says(tmp_path, recordings) -> None:
    content = VideoFile("a", recordings.write(tmp_path / "a.mkv", n=50))
    times = frame_times(content, 50)
    np.testing.assert_allclose(times, np.arange(51) / 25, atol=1e-3)
    part = VideoFile("a", content.path, start=10, stop=20)
    np.testing.assert_allclose(frame_times(part, 10), times[10:21])
    with pytest.raises(DataError, match="is damaged"):
        (tmp_path / "b.mkv").write_bytes(b"nothing")
        frame_times(VideoFile("b", tmp_path / "b.mkv"), 3)
