"""Frames by number: exact in every container, no needless seek, one sentence for each bad file."""

import logging
import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from masquerade.core.errors import DataError
from masquerade.core.extras import installed
from masquerade.modalities.files import Encoded
from masquerade.modalities.video import Video, reading
from masquerade.modalities.video.files import VideoFile, on_disk
from masquerade.modalities.video.pyav_reader import PyavReader
from masquerade.modalities.video.reading import DecordFailedError, open_video

pytest.importorskip("av")
DECODERS = ["pyav", *(["decord"] if installed("decord") else [])]
RNG = np.random.default_rng(0)
FORMS = {
    "mpeg4.mp4": {"codec": "mpeg4"},
    "bframes.mp4": {},
    "bframes.mkv": {},
    "mpeg4.avi": {"codec": "mpeg4"},
    "vfr.mkv": {"times_ms": np.cumsum(RNG.integers(10, 200, 40)).tolist()},
    "vfr.mp4": {"times_ms": np.cumsum(RNG.integers(10, 200, 40)).tolist()},
    "vfr.webm": {"times_ms": np.cumsum(RNG.integers(10, 200, 40)).tolist(), "codec": "libvpx"},
    # as a slow clock writes: frames with one and the same time
    "repeated.mkv": {"times_ms": np.cumsum(RNG.integers(10, 200, 40)).tolist(), "per_s": 25},
    "odd.mkv": {"height": 47, "width": 67, "pixels": "yuv444p"},
    "ten-bit.mkv": {"pixels": "yuv420p10le"},
    "ten-bit-hevc.mp4": {"codec": "libx265", "pixels": "yuv420p10le"},
}
needs_decord = pytest.mark.skipif(not installed("decord"), reason="decord is not installed")


def read(content, numbers, decoder="auto"):
    with open_video(content, "sample", decoder) as video:
        return video.frames(numbers)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", FORMS)
def test_frames_are_those_of_their_numbers(tmp_path, videos, name, decoder):
    path = videos.write(tmp_path / name, **FORMS[name])
    height, width = FORMS[name].get("height", 48), FORMS[name].get("width", 64)
    for numbers in ([0], [39], [3, 4, 5], [1, 13, 14, 30, 38], list(range(0, 40, 3))):
        with open_video(on_disk(path), "sample", decoder) as video:
            assert (video.n_frames, video.size) == (40, (width, height))
            frames = video.frames(numbers)
        assert frames.shape == (len(numbers), height, width, 3)
        assert frames.dtype == np.uint8
        assert videos.numbers_of(frames) == numbers


@needs_decord
def test_frames_of_one_time_are_read_by_pyav_and_one_line_says_so(tmp_path, videos, caplog):
    path = videos.write(tmp_path / "a.mkv", times_ms=[i // 2 * 80 for i in range(40)], per_s=25)
    assert videos.numbers_of(read(on_disk(path), [4, 5, 33])) == [4, 5, 33]
    assert [r.message for r in caplog.records] == [
        f"{path}: decord cannot read it (frames have the same time): read by PyAV"
    ]


def test_loss_free_frames_come_back_exactly(tmp_path, videos):
    path = videos.write(tmp_path / "a.mkv", 5, codec="ffv1", pixels="bgr0")
    wanted = np.stack([videos.numbered(n) for n in (0, 2, 4)])
    assert (read(on_disk(path), [0, 2, 4]) == wanted).all()
    assert (read(Encoded("a", path.read_bytes()), [0, 2, 4]) == wanted).all()


@needs_decord
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_second_call_may_go_back(tmp_path, videos, decoder):
    path = videos.write(tmp_path / "a.mp4")
    with open_video(on_disk(path), "sample", decoder) as video:
        for numbers in ([20, 25], [2, 3], [30]):
            assert videos.numbers_of(video.frames(numbers)) == numbers


class Watched:
    """A container that counts what is asked of it."""

    def __init__(self, container):
        self.container, self.seeks = container, []

    def __getattr__(self, name):
        return getattr(self.container, name)

    def seek(self, *place, **how):
        self.seeks.append(place)
        return self.container.seek(*place, **how)


def test_seeks_only_over_a_key_frame(tmp_path, videos):
    path = videos.write(tmp_path / "a.mp4", 120, codec="mpeg4", key_every=30)
    reader = PyavReader(on_disk(path))
    assert reader.n_frames == 120
    keys = reader._times.keys.tolist()
    assert keys == [0, 30, 60, 90]
    reader._container = watched = Watched(reader._container)
    for numbers, seeks in (
        ([3, 9, 20], 0),  # decodes on from the start
        ([25, 29], 0),  # decodes on
        ([31, 40], 0),  # the key frame at 30 is the next one: nothing is gained by a seek
        ([70, 80], 1),  # over the key frame at 60
        ([81, 119], 1),  # over the one at 90
        ([5], 1),  # back
    ):
        watched.seeks.clear()
        assert videos.numbers_of(reader.frames(numbers)) == numbers
        assert len(watched.seeks) == seeks, numbers
    reader.close()


def test_part_of_a_file_counts_from_its_start(tmp_path, videos):
    path = videos.write(tmp_path / "a.mp4")
    content = VideoFile("a", path, 10, 25)
    with open_video(content, "a") as video:
        assert video.n_frames == 15
        assert videos.numbers_of(video.frames([0, 14])) == [10, 24]
    with pytest.raises(DataError, match="has 40 frames, asked for 10 to 41"):
        read(VideoFile("a", path, 10, 41), [0])


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda f: np.rot90(f, -1)),  # shown a quarter to the right
        ((-1, 0, 0, -1), lambda f: np.rot90(f, 2)),
        ((0, -1, 1, 0), lambda f: np.rot90(f, 1)),
        ((-1, 0, 0, 1), lambda f: f[:, ::-1]),  # mirrored
    ],
)
def test_frames_stand_upright(tmp_path, videos, caplog, matrix, turn):
    stored = videos.write(tmp_path / "stored.mp4", 5)
    plain = read(on_disk(stored), [3])[0]
    path = videos.turned(stored, tmp_path / "turned.mp4", *matrix)
    frame = read(on_disk(path), [3])[0]
    assert (frame == turn(plain)).all()
    with open_video(on_disk(path), "x") as video:
        assert video.size == (frame.shape[1], frame.shape[0])
    said = [r.message for r in caplog.records]
    assert len(said) == installed("decord")
    assert all("other videos stored turned: read by PyAV" in sentence for sentence in said)


def zero_bytes(folder, videos):
    (folder / "x.mp4").write_bytes(b"")


def text(folder, videos):
    (folder / "x.mp4").write_text("no video\n" * 100)


def sound_alone(folder, videos):
    videos.write_sound(folder / "x.mp4")


def cut_off(folder, videos):
    data = moved_index(videos.write(folder / "x.mp4", 120))
    (folder / "x.mp4").write_bytes(data[: len(data) * 6 // 10])


def moved_index(path):
    """The bytes of the file with its index at the front, as files for the web have it."""
    import av

    fast = path.with_name("fast.mp4")
    with (
        av.open(str(path)) as old,
        av.open(str(fast), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    data = fast.read_bytes()
    fast.unlink()
    return data


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (zero_bytes, "is empty"),
        (text, "is damaged or no video"),
        (sound_alone, r"has no video stream \(sound alone\)"),
        (cut_off, r"is cut off: it holds \d+ of the 120 frames"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_file_is_one_sentence_that_names_it(tmp_path, videos, make, sentence, decoder):
    make(tmp_path, videos)
    sample = Video.open(tmp_path / "x.mp4").read(0)
    with pytest.raises(DataError, match=rf"x\.mp4 {sentence}") as raised:
        Video(Video.Config(size=16, frames=4, decoder=decoder)).prepare(sample, None)
    assert "\n" not in str(raised.value)
    assert raised.value.remedy


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_corrupt_tail_is_refused_where_a_clip_touches_it(tmp_path, videos, decoder):
    path = videos.write(tmp_path / "x.mkv", 100, codec="mpeg4", key_every=10)
    packets = packet_places(path)
    data = bytearray(path.read_bytes())
    for place, size in packets[70:]:
        noise = RNG.integers(0, 256, size, dtype=np.uint8)
        data[place + 8 : place + 8 + size] = noise.tobytes()  # behind the block's own header
    path.write_bytes(data)
    assert videos.numbers_of(read(on_disk(path), [0, 30, 60], decoder)) == [0, 30, 60]
    with pytest.raises(DataError, match=r"x\.mkv is damaged"):
        read(on_disk(path), [60, 90], decoder)
    with pytest.raises(DataError, match=r"x\.mkv is damaged"):
        Video.check(Video.open(path).read(0))


def test_damage_that_a_decoder_conceals_is_found_by_a_check(tmp_path, videos):
    path = videos.write(tmp_path / "x.mkv", 100, codec="mpeg4", key_every=10)
    data = bytearray(path.read_bytes())
    place, size = packet_places(path)[75]
    data[place + 8 + size // 2] ^= 0x55
    path.write_bytes(data)
    for reads_all in (Video.check, Video.whole):  # `data verify`, `data prepare pack`
        with pytest.raises(DataError, match=r"x\.mkv is damaged .* data are corrupt"):
            reads_all(Video.open(path).read(0))


def packet_places(path):
    import av

    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size]


def test_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*gone\.mp4: No such file"):
        read(on_disk(tmp_path / "gone.mp4"), [0])


def test_array_of_another_shape_is_refused():
    with pytest.raises(DataError, match=r"expected \(frames, height, width, 3\)"):
        read(np.zeros((4, 5, 6), np.uint8), [0])


def test_where_decord_fails_pyav_reads_and_one_line_says_so(tmp_path, videos, caplog, monkeypatch):
    path = videos.write(tmp_path / "a.mp4")

    def fails(content):
        raise DecordFailedError("no such codec")

    monkeypatch.setattr(reading, "_has_decord", lambda: True)
    monkeypatch.setattr(reading, "DecordReader", fails)
    for _ in range(3):
        assert videos.numbers_of(read(on_disk(path), [7])) == [7]
    (said,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert said.message == f"{path}: decord cannot read it (no such codec): read by PyAV"


def test_where_decord_fails_in_the_middle_pyav_goes_on(tmp_path, videos, caplog, monkeypatch):
    path = videos.write(tmp_path / "a.mp4")

    class Breaks:
        n_frames = 40

        def __init__(self, content):
            pass

        def frames(self, numbers):
            raise DecordFailedError("lost its place")

    monkeypatch.setattr(reading, "_has_decord", lambda: True)
    monkeypatch.setattr(reading, "DecordReader", Breaks)
    with open_video(on_disk(path), "a") as video:
        assert videos.numbers_of(video.frames([5, 9])) == [5, 9]
    assert [r.message for r in caplog.records] == [
        f"{path}: decord cannot read it (lost its place): read by PyAV"
    ]


def test_without_decord_all_is_read_by_pyav_and_said_once(tmp_path, videos, caplog, monkeypatch):
    monkeypatch.setattr(reading, "installed", lambda name: name != "decord")
    for name in ("a.mp4", "b.mp4"):
        path = videos.write(tmp_path / name, 10)
        assert videos.numbers_of(read(on_disk(path), [7])) == [7]
    (said,) = [r.message for r in caplog.records]
    assert said == "decord is not installed: videos are read by PyAV"


def handles():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc here")
@pytest.mark.parametrize("decoder", DECODERS)
def test_handles_are_given_back_by_good_and_bad_files(tmp_path, videos, decoder):
    good = videos.write(tmp_path / "good.mp4", 20)
    cut_off(tmp_path, videos)
    (tmp_path / "t").mkdir()
    text(tmp_path / "t", videos)
    before = handles()
    for _ in range(5):
        read(on_disk(good), [3, 9], decoder)
        for bad in (tmp_path / "x.mp4", tmp_path / "t" / "x.mp4"):
            with pytest.raises(DataError):
                read(on_disk(bad), [3], decoder)
    assert handles() == before


def test_many_random_clips_of_a_long_video_take_constant_memory(tmp_path, videos):
    """By hand and longer: tests/performance/video_reading.py. Frames of 480 × 272 are 0.4 MB."""
    path = videos.write(tmp_path / "long.mp4", 400, 272, 480, codec="mpeg4", key_every=20)
    video = Video(Video.Config(size=32, frames=4, stride=2, decoder="pyav"))
    sample = Video.open(path).read(0)
    process = psutil.Process(os.getpid())

    def sampled(times):
        for seed in range(times):
            video.prepare(sample, draws_of(seed))
        return process.memory_info().rss

    warm, threads = sampled(20), process.num_threads()
    assert sampled(25) - warm < 20 * 2**20  # all 400 frames are 157 MB
    assert process.num_threads() == threads  # decoders are given back, not left to the collector


def draws_of(seed):
    import torch

    from masquerade.core.draws import Draws

    return Draws(seed, torch.tensor([1]))


CLIPS = "data/video_audio/clips"


@needs_decord
@pytest.mark.parametrize("name", ["mmaction2/part_0.mp4", "torchcodec/nasa_13013.mp4"])
def test_both_decoders_give_the_same_frames_of_real_clips(shared, name):
    path = shared / CLIPS / name
    with open_video(on_disk(path), name, "decord") as video:
        n, size = video.n_frames, video.size
        numbers = [0, n // 3, n // 3 + 1, n - 1]
        first = video.frames(numbers)
    assert name != "torchcodec/nasa_13013.mp4" or size == (480, 270)  # the best of its streams
    second = read(on_disk(path), numbers, "pyav")
    import av

    # PyAV 17 makes RGB exactly as decord does; older ones interpolate chroma
    older = int(av.__version__.split(".")[0]) < 17
    assert np.abs(second.astype(int) - first).mean() <= (0.5 if older else 0)


def test_last_frame_that_an_avi_header_counts_too_many_is_the_one_before(shared):
    """Its metadata are not UTF-8 either; decord gives another frame here, so it is not asked."""
    name = "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"
    path = shared / CLIPS / "torchvision" / name
    with open_video(on_disk(path), name, "decord") as video:
        assert video.n_frames == 84
        end = video.frames([81, 82, 83])
    assert (end[1] == end[2]).all()
    assert (end[0] != end[1]).any()
