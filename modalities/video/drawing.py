"""Clips as film strips (one picture) and as animated images (GIF, WebP, APNG)."""

# B clips, T frames, H rows, W columns.

from pathlib import Path

from torch import Tensor, stack

from ...core.atomic_io import write_file
from ..image.drawing import canvas, write_rows

ANIMATED = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}
_FRAME_MS = 120  # 16 frames take two seconds, whatever the stride; GIF counts in tens


def write_strip(rows: dict[str, Tensor], path: Path) -> Path:
    """Write a PNG with a column per frame and, for each clip, a row per entry.

    Args:
        rows: name → (B, 3, T, H, W) in 0…1, all of one shape.
        path: where to; the suffix .png is added where missing.

    Returns:
        The path written.

    Raises:
        MasqueradeError: it cannot be written.
    """
    clips = stack(list(rows.values()), dim=1).flatten(0, 1)  # clip 1: input, masked, …, clip 2: …
    frames = {f"frame {t}": frame for t, frame in enumerate(clips.unbind(2))}
    return write_rows(frames, path, names=list(rows) * (len(clips) // len(rows)))


def write_animation(columns: dict[str, Tensor], path: Path) -> Path:
    """Write an animated image that loops: a column per entry, a row per clip.

    Args:
        columns: header → (B, 3, T, H, W) in 0…1, all of one shape.
        path: ends in .gif, .webp or .apng.

    Returns:
        The path written.

    Raises:
        MasqueradeError: it cannot be written.
    """
    n_frames = next(iter(columns.values())).shape[2]
    pictures = [
        canvas({name: clips[:, :, t] for name, clips in columns.items()}) for t in range(n_frames)
    ]
    first, *others = pictures
    write_file(
        path,
        lambda temporary: first.save(
            temporary, format=ANIMATED[path.suffix.lower()], save_all=True, append_images=others,
            duration=_FRAME_MS, loop=0,
        ),
    )  # fmt: skip
    return path
