"""Pictures of recordings: film strip above spectrograms; and sound that can be listened to."""

# B clips, T frames, S side, F frames of 10 ms, M bands, N video and A audio tokens.

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.atomic_io import write_file
from ...core.extras import require
from ...core.filterbank import RATE, waveform_of
from ...core.tokens import Batch, Tokens
from ..image.drawing import write_rows
from ..image.patches import unpatchify
from ..video.adapter import Video
from .spectrograms import audio_tokens, present

if TYPE_CHECKING:
    from .adapter import AudioVisual

_CLIPS = 4  # of a picture
_CHANNELS = 3


def draw(adapter: "AudioVisual", batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
    """Write a picture, or where the suffix is .wav the first clip's reconstructed sound.

    The picture has, for each of at most four clips, rows for input, masked and reconstruction:
    frames side by side, and at their end the spectrogram of the same time, low tones at the bottom.

    Args:
        adapter: denormalizes.
        batch: the inputs.
        tokens: (B·V, N + A, P), joined.
        hidden: (B·V, N + A) bool.
        path: where to.

    Raises:
        MasqueradeError: it cannot be written.
    """
    clips = batch["video"].flatten(0, 1)
    values = tokens.values.shape[-1]
    tubelet = 1 if _CHANNELS * isqrt(values // _CHANNELS) ** 2 == values else 2
    side = isqrt(values // _CHANNELS // tubelet)
    plain = Video.tokenize(clips, tubelet, side)
    heard = adapter.config.spectrogram(batch)
    n_audio = tokens.values.shape[1] - plain.count
    audio_side = isqrt(heard.shape[1] * heard.shape[2] // n_audio)
    sound = audio_tokens(heard, audio_side)
    made_sound = _picture(tokens.values[:, plain.count :, : audio_side**2], sound)
    if path.suffix.lower() == ".wav":
        return write_sound(adapter.config.spectrogram.denormalize(made_sound[0]), path)
    masked = adapter.video.denormalize(clips)
    grey = Video.tokenize(masked, tubelet, side)
    grey_values = grey.values.masked_fill(hidden[:, : plain.count, None].to(clips.device), 0.5)
    made = Tokens(tokens.values[:, : plain.count], grid=plain.grid)
    rows = {
        "input": (masked, heard),
        "masked": (
            Video.restore(Tokens(grey_values, grid=plain.grid), tubelet),
            _picture(
                sound.values.masked_fill(
                    hidden[:, plain.count :, None].to(clips.device), float(heard.mean())
                ),
                sound,
            ),
        ),
        "reconstruction": (adapter.video.denormalize(Video.restore(made, tubelet)), made_sound),
    }
    has = present(batch)
    strips = [_strip(film, _shaded(sounds, heard), *has) for film, sounds in rows.values()]
    few = torch.stack(strips, dim=1)[:_CLIPS].flatten(0, 1)
    names = list(rows) * min(len(clips), _CLIPS)
    return write_rows({"frames above, sound below (high tones at the top)": few}, path, names=names)


def write_sound(energies: Tensor, path: Path) -> Path:
    """Write log mel energies (F, M) as a sound file whose phases are guessed (Griffin-Lim).

    Raises:
        MissingExtra: librosa or soundfile is not installed.
        MasqueradeError: it cannot be written.
    """
    samples: NDArray[np.float32] = waveform_of(energies.detach().cpu())
    soundfile = require("soundfile")
    peak = max(float(np.abs(samples).max()), 1e-9)
    scaled = samples * min(0.9 / peak, 1e6)
    write_file(path, lambda temporary: soundfile.write(temporary, scaled, RATE, format="WAV"))
    return path


def _picture(patches: Tensor, like: Tokens) -> Tensor:
    """(B, F, M) of patches (B, A, p p)."""
    rows, columns = like.grid or (1, like.count)
    return unpatchify(patches, (rows, columns), channels=1)[:, 0]


def _shaded(sounds: Tensor, like: Tensor) -> Tensor:
    """(B, 1, M, F) in 0…1 from the lowest to the loudest of `like`, low tones at the bottom."""
    low, high = like.amin((1, 2), keepdim=True), like.amax((1, 2), keepdim=True)
    grey = ((sounds - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return grey.transpose(1, 2).flip(1)[:, None]


def _strip(clips: Tensor, sounds: Tensor, has_video: Tensor, has_audio: Tensor) -> Tensor:
    """(B, 3, 2 S, T·S) frames side by side above the spectrogram stretched to their width."""
    n, _, frames, height, width = clips.shape
    film = clips.permute(0, 1, 3, 2, 4).reshape(n, 3, height, frames * width)
    sound = torch.nn.functional.interpolate(sounds, (height, frames * width)).expand(-1, 3, -1, -1)
    seen, heard = has_video[:, None, None, None], has_audio[:, None, None, None]
    return torch.cat([film * seen, sound * heard], dim=2).cpu()
