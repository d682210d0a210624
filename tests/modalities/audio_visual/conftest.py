"""Small real recordings: a video whose brightness, and a sound whose pitch, tell the time."""

from types import SimpleNamespace

import numpy as np
import pytest

from masquerade.modalities.video import reading

FPS, RATE, SIDE = 25, 16_000, 32


def tones(seconds, rate=RATE, start_s=0.0):
    """A sound of a pitch per tenth of a second: 300 + 100 k Hz in tenth k."""
    t = np.arange(round(seconds * rate)) / rate + start_s
    return (0.4 * np.sin(2 * np.pi * (300 + 100 * np.floor(t * 10)) * t)).astype(np.float32)


def write(path, n=100, sound_s=4.0, rate=RATE, codec="pcm_s16le", video=True):
    """A recording of n grey frames that grow lighter, with tones of `sound_s` seconds."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        if video:
            picture = container.add_stream("ffv1", rate=FPS)
            picture.width = picture.height = SIDE
            picture.pix_fmt = "bgr0"
        if sound_s:
            track = container.add_stream(codec, rate=rate, layout="mono")
        if video:
            for number in range(n):
                grey = np.full((SIDE, SIDE, 3), number, np.uint8)
                container.mux(picture.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(picture.encode())
        if sound_s:
            values = np.round(tones(sound_s, rate) * 32767).astype(np.int16)
            for start in range(0, len(values), 1024):
                part = np.ascontiguousarray(values[None, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
                frame.rate, frame.pts = rate, start
                container.mux(track.encode(frame))
            container.mux(track.encode())
    return path


def pitch(samples, rate=RATE):
    """The loudest frequency in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.fixture(scope="session")
def recordings():
    """The functions that make recordings, and hear their pitch."""
    return SimpleNamespace(write=write, tones=tones, pitch=pitch)


@pytest.fixture(autouse=True)
def nothing_said():
    """What is said once a process is said anew in each test."""
    reading._SAID.clear()
