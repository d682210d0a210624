"""How fast the filterbank is: ours, librosa's mel, and a plain loop over frames.

    python tests/performance/filterbank.py [--clips 1000] [--batch 50] [--device cpu]

Clips of 2.56 s at 16 kHz, the same noise for all; ours and the loop are checked equal first (1e-3
on log energies). Librosa's mel is another bank (no pre-emphasis, other triangles): only its time
is compared. Each way is timed three times in turn; the median counts.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from masquerade.core.extras import installed
from masquerade.core.filterbank import BANDS, RATE, kaldi_filterbank, n_frames

SAMPLES = 40_960
_FLOOR = 1.1920929e-07


def mel_weights() -> NDArray[np.float64]:
    """(257, 128): the triangles, band by band."""
    edges = np.linspace(*(1127 * np.log(1 + np.array([20.0, 8000.0]) / 700)), BANDS + 2)
    mel = 1127 * np.log(1 + np.arange(256) * 31.25 / 700)
    weights = np.zeros((257, BANDS))
    for band in range(BANDS):
        left, centre, right = edges[band : band + 3]
        rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
        weights[:256, band] = np.maximum(0, np.minimum(rising, falling))
    return weights


def looped(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    """The plain way: a clip and a frame at a time."""
    window, weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399), mel_weights()
    found = np.zeros((len(clips), n_frames(clips.shape[1]), BANDS))
    for row, clip in enumerate(clips):
        for number in range(found.shape[1]):
            frame = clip[number * 160 : number * 160 + 400].astype(np.float64)
            frame = frame - frame.mean()
            frame = (frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])) * window
            power = np.abs(np.fft.rfft(frame, 512)) ** 2
            found[row, number] = np.log(np.maximum(power @ weights, _FLOOR))
    return found


def librosas(clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """Librosa on the whole batch."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=clips, sr=RATE, n_fft=512, hop_length=160, win_length=400, n_mels=BANDS, fmin=20
    )
    return np.log(np.maximum(power, _FLOOR))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    clips = 0.1 * np.random.default_rng(0).standard_normal((given.clips, SAMPLES)).astype("f4")
    batches = torch.from_numpy(clips).to(given.device).split(given.batch)

    def ours() -> None:
        for batch in batches:
            kaldi_filterbank(batch)
        if given.device != "cpu":
            torch.cuda.synchronize()

    gap = np.abs(kaldi_filterbank(batches[0][:2]).cpu().numpy() - looped(clips[:2])).max()
    assert gap < 1e-3, gap
    ways: dict[str, Callable[[], object]] = {
        "ours": ours,
        "loop over frames": lambda: looped(clips),
    }
    if installed("librosa"):
        librosas(clips[:2])  # what it compiles at first use does not count
        ways["librosa's mel"] = lambda: [
            librosas(clips[i : i + given.batch]) for i in range(0, len(clips), given.batch)
        ]
    ours()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            times[name].append(timed(way))
    print(f"{given.clips} clips of 2.56 s, {torch.get_num_threads()} threads, {given.device}")
    print(f"ours against the loop, largest difference of log energies: {gap:.1e}")
    first = statistics.median(times["ours"])
    for name, found in times.items():
        middle = statistics.median(found)
        rate = given.clips / middle
        print(f"{name:18} {middle:8.3f} s  {rate:7.0f} clips/s  {middle / first:6.1f}×")


if __name__ == "__main__":
    main()
