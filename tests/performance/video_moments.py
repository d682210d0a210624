"""Cuts a few long videos into data sets: parts to pre-train on, and moments to recognise.

The first 60 % of each video are for training, the last 35 % are held out; the gap of 5 % between
them keeps them apart. A *moment* is eight frames of one part, at one of three speeds (every frame,
every second, every third), a crop of 10 to 40 % of the area, flipped or not, as 48² pixels.
"""

# F frames, H rows, W columns.

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from masquerade.benchmarks.protocol import TaskData
from masquerade.core.modality import Source
from masquerade.modalities.image.arrays import Arrays, ArraySource
from masquerade.modalities.image.cropping import resized
from masquerade.modalities.packs import pack_source
from masquerade.modalities.video import Video
from masquerade.modalities.video.files import on_disk
from masquerade.modalities.video.reading import open_video

PARTS = {"train": (0.0, 0.6), "test": (0.65, 1.0)}
SHORT_SIDE, SIDE, FRAMES = 72, 48, 8
SPEEDS = (1, 2, 3)  # frames from one to the next: the shortest held-out part has 25
EACH = 8  # moments of a part at each speed
SHARES = (0.1, 0.4)  # of the area
Answer = Literal["video", "speed"]


def packed_parts(videos: list[Path], out: Path) -> dict[str, Source]:
    """The packs `out/train` and `out/test`: one sample a video, its short side 72 pixels."""
    lines: dict[str, list[str]] = {part: [] for part in PARTS}
    for path in videos:
        with open_video(on_disk(path), path.name, "pyav") as video:
            n = video.n_frames - 1  # the header of an AVI may count one too many
        for part, (start, stop) in PARTS.items():
            name = path.name.replace(".", "-")
            lines[part].append(f"{path.resolve()}\t{name}\t{int(start * n)}\t{int(stop * n)}")
    for part, listed in lines.items():
        if not (out / part).is_dir():
            (out / f"{part}.tsv").write_text("\n".join(listed), "utf-8")
            pack_source(Video.open(out / f"{part}.tsv"), out / part, SHORT_SIDE)
    return {part: Video.open(out / part) for part in PARTS}


def moments(parts: dict[str, Source], answer: Answer) -> TaskData:
    """Moments of all parts, to be told by their video or by their speed."""
    train, test = (
        ArraySource(f"moments:{part}", partial(_cut, source, answer), "video")
        for part, source in parts.items()
    )
    return TaskData(f"moments by {answer}", train, test)


def _cut(source: Source, answer: Answer) -> Arrays:
    assert source.labels is not None
    clips, keys, labels = [], [], []
    for number, label in enumerate(source.labels.tolist()):
        frames = source.read(number).content
        # the same moments of a video whatever else is in the list
        draws = np.random.default_rng([*source.keys[number].encode()])
        for place, speed in enumerate(SPEEDS):
            for i in range(EACH):
                clips.append(_moment(frames, speed, draws))
                keys.append(f"{source.classes[label]}/{place}-{i}")
                labels.append(label if answer == "video" else place)
    names = source.classes if answer == "video" else tuple(f"every {s}" for s in SPEEDS)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Arrays(
        [clips[i] for i in order], [keys[i] for i in order], np.array(labels)[order], names
    )


def _moment(frames: NDArray[np.uint8], speed: int, draws: np.random.Generator) -> NDArray[np.uint8]:
    n, height, width, _ = frames.shape
    start = draws.integers(n - (FRAMES - 1) * speed)
    side = min(int((draws.uniform(*SHARES) * height * width) ** 0.5), height, width)
    top, left = draws.integers(height - side + 1), draws.integers(width - side + 1)
    part = frames[start : start + FRAMES * speed : speed, top : top + side, left : left + side]
    part = part[:, :, ::-1] if draws.random() < 0.5 else part
    return resized(np.ascontiguousarray(part), (SIDE, SIDE)).permute(0, 2, 3, 1).numpy()
