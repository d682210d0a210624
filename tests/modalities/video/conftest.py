"""Small real video files, written by PyAV; each frame carries its number in black and white."""

import struct
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from masquerade.modalities.video import reading

BITS, BLOCK = 8, 8
HEIGHT, WIDTH = 48, 64


def numbered(number, height=HEIGHT, width=WIDTH):
    """A frame: eight blocks of its number's bits over a moving slope."""
    y, x = np.mgrid[:height, :width]
    frame = np.stack([(x * 2 + number * 3) % 256, y * 4 % 256, np.full_like(x, 90)], axis=-1)
    for bit in range(BITS):
        frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    return frame.astype(np.uint8)


def numbers_of(frames):
    """The numbers that frames (K, H, W, 3) carry."""
    blocks = frames[:, :BLOCK, : BITS * BLOCK].reshape(len(frames), BLOCK, BITS, BLOCK, 3)
    bits = blocks.mean(axis=(1, 3, 4)) > 127
    return (bits * 2 ** np.arange(BITS)).sum(axis=1).tolist()


def write(path, n=40, height=HEIGHT, width=WIDTH, codec="libx264", pixels="yuv420p", key_every=12,
          times_ms=None, per_s=1000):  # fmt: skip
    """A file of numbered frames; with `times_ms` each is shown at its own time, in 1 / per_s."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.gop_size = key_every
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, per_s)
        for number in range(n):
            frame = av.VideoFrame.from_ndarray(numbered(number, height, width), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path):
    """A file with sound and no picture."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 16000), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path, out, a, b, c, d):
    """The file with a display matrix: a stored (x, y) is shown at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version 0 of the box
    one = 1 << 16
    matrix = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    data[place : place + 36] = struct.pack(">9i", *matrix)
    out.write_bytes(data)
    return out


@pytest.fixture(scope="session")
def videos():
    """The functions that make video files, and read numbers off frames."""
    return SimpleNamespace(
        write=write, write_sound=write_sound, turned=turned, numbered=numbered,
        numbers_of=numbers_of,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_said():
    """What is said once a process is said anew in each test."""
    reading._SAID.clear()


@pytest.fixture
def folder(tmp_path):
    """A folder per class: three short videos of 20 frames, loss-free."""
    root = tmp_path / "videos"
    for name in ("left/a", "left/b", "right/a"):
        path = root / f"{name}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, 20, codec="ffv1", pixels="bgr0")
    return root
