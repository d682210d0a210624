"""Batches of waveforms as normalized spectrograms and their patches, on the batch's device."""

# B samples, V views, n samples of sound, F frames of 10 ms, N patches, p patch side.

from typing import Literal

import torch
from torch import Tensor

from ...core.config import Config
from ...core.filterbank import fit_frames, kaldi_filterbank, librosa_mel, n_frames
from ...core.masking import Mask
from ...core.tokens import Batch, Tokens
from ..image.patches import patchify

Bank = Literal["kaldi", "librosa"]


class Spectrogram(Config):
    """How sound becomes a picture of 128 mel bands.

    Attributes:
        bank: "kaldi", the exact filterbank of audio transformers, or "librosa", its mel.
        frames: F; longer sound is cut, shorter filled with zeros *before* it is normalized.
        mean: subtracted (of AudioSet's log energies).
        std: twice it is divided by (Gong et al., 2021, AST).
    """

    bank: Bank = "kaldi"
    frames: int = 256
    mean: float = -4.2677393
    std: float = 4.5689974

    def __call__(self, batch: Batch) -> Tensor:
        """The normalized log energies of all views' sound: (B·V, F, 128) float32.

        Args:
            batch: "waveform" (B, V, n) and "samples" (B, V), how many of them are sound.
        """
        bank = kaldi_filterbank if self.bank == "kaldi" else librosa_mel
        energies = bank(batch["waveform"].flatten(0, 1))
        valid = n_frames(batch["samples"].flatten())
        return (fit_frames(energies, self.frames, torch.as_tensor(valid)) - self.mean) / self.scale

    def denormalize(self, spectrograms: Tensor) -> Tensor:
        """Log energies of normalized ones."""
        return spectrograms * self.scale + self.mean

    @property
    def scale(self) -> float:
        """What is divided by."""
        return 2 * self.std


def audio_tokens(spectrograms: Tensor, patch_size: int) -> Tokens:
    """The patches of spectrograms (B, F, 128): (B, N, p p), time first, then mel.

    Raises:
        UsageError: p does not divide the spectrogram.
    """
    frames, bands = spectrograms.shape[1:]
    values = patchify(spectrograms[:, None], patch_size)
    return Tokens(values, grid=(frames // patch_size, bands // patch_size))


def present(batch: Batch) -> tuple[Tensor, Tensor]:
    """(B·V,) bool each: whether a view has pictures, and at least a frame of sound."""
    has_audio = torch.as_tensor(n_frames(batch["samples"].flatten())) > 0
    return batch["has_video"].flatten(), has_audio


def joined(video: Tensor, audio: Tensor) -> Tensor:
    """Rows of video and audio patches as one: (B, N, P) and (B, A, p p) → (B, N + A, P).

    Video stands first; the shorter audio patches are filled with zeros.
    """
    filled = torch.nn.functional.pad(audio, (0, video.shape[-1] - audio.shape[-1]))
    return torch.cat([video, filled.to(video.dtype)], dim=1)


def joined_mask(video: Mask, audio: Mask) -> Mask:
    """The mask of joined tokens."""
    n = video.count
    return Mask(
        visible=torch.cat([video.visible, audio.visible + n], dim=1),
        hidden=torch.cat([video.hidden, audio.hidden + n], dim=1),
    )


def parted_mask(mask: Mask, n_video: int) -> tuple[Mask, Mask]:
    """The masks of video and audio tokens of a joined one, the inverse of `joined_mask`.

    Raises:
        ValueError: rows hide different numbers of a stream's tokens.
    """
    hidden = mask.as_bool()
    return Mask.from_bool(hidden[:, :n_video]), Mask.from_bool(hidden[:, n_video:])
