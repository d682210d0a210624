"""Log-mel filterbanks of waveforms, whole batches at once on their device.

`kaldi_filterbank` is what audio transformers are fed with (Gong et al., 2021, AST; Kaldi's
`compute-fbank-feats` with a Hann window): 25 ms frames every 10 ms, 128 triangles that are straight
in *mel*. `librosa_mel` is the other custom of the field: centred frames and triangles that are
straight in hertz and of equal area.
"""

# B waveforms, n samples, F frames, W samples of a frame, M mel bands, K frequency bins.

from functools import cache
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .extras import require

RATE = 16_000  # samples per second
HOP = 160  # samples: 10 ms
BANDS = 128
_WIDTH = 400  # samples: 25 ms
_FFT = 512
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_PRE_EMPHASIS = 0.97
_FLOOR = 1.1920929e-07  # float32's epsilon, under the logarithm


def n_frames(samples: Tensor | int) -> Tensor | int:
    """How many frames fit: 1 + ⌊(n − 400) / 160⌋, none where a frame does not.

    Example:
        >>> n_frames(40960), n_frames(399)
        (254, 0)
    """
    found = (samples - _WIDTH) // HOP + 1
    return found.clamp_min(0) if isinstance(found, Tensor) else max(found, 0)


def n_samples(frames: int) -> int:
    """The fewest samples that give F frames.

    Example:
        >>> n_samples(256)
        41200
    """
    return (frames - 1) * HOP + _WIDTH


def kaldi_filterbank(waveforms: Tensor) -> Tensor:
    """Log energies of 128 mel bands.

    No dither, no padding, no energy column; each frame loses its own mean before pre-emphasis.

    Args:
        waveforms: (B, n) at 16 kHz, in −1…1.

    Returns:
        (B, F, 128) float32, F = `n_frames(n)`; at least log(2^−23).
    """
    if n_frames(waveforms.shape[-1]) == 0:
        return torch.zeros(len(waveforms), 0, BANDS, device=waveforms.device)
    frames = waveforms.float().unfold(-1, _WIDTH, HOP)
    frames = frames - frames.mean(-1, keepdim=True)
    # the sample before the first one is taken for the first
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    window = torch.hann_window(_WIDTH, periodic=False, device=frames.device)
    spectrum = torch.fft.rfft((frames - _PRE_EMPHASIS * before) * window, n=_FFT)
    power = spectrum.real.square() + spectrum.imag.square()
    energies = power @ _kaldi_weights().to(power.device)
    return energies.clamp_min(_FLOOR).log()


def librosa_mel(waveforms: Tensor) -> Tensor:
    """Log energies of 128 mel bands as librosa's `melspectrogram` makes them.

    Frames of the same 25 ms and hop, centred on multiples of the hop with zeros beyond the ends,
    without pre-emphasis; Slaney's mel scale and area-normalized triangles. Frames are computed
    here in a batch, the triangles are librosa's own. Cut to the F frames of `kaldi_filterbank`.

    Args:
        waveforms: (B, n) at 16 kHz, in −1…1.

    Returns:
        (B, F, 128) float32.

    Raises:
        MissingExtra: librosa is not installed.
    """
    found = int(n_frames(waveforms.shape[-1]))
    window = torch.hann_window(_WIDTH, device=waveforms.device)
    spectrum = torch.stft(
        waveforms.float(), _FFT, HOP, _WIDTH, window, pad_mode="constant", return_complex=True
    )
    power = spectrum[..., :found].abs().square().transpose(1, 2)
    return (power @ _librosa_weights().to(power.device)).clamp_min(_FLOOR).log()


def _mel(hertz: float) -> float:
    return 1127.0 * log(1 + hertz / 700)


@cache
def _kaldi_weights() -> Tensor:
    """(257, 128) float32: triangles between edges that are equally spaced in mel.

    A low triangle may lie between two bins, and is then empty. The Nyquist bin has no weight.
    """
    low, high = _mel(_LOW_HZ), _mel(_HIGH_HZ)
    step = (high - low) / (BANDS + 1)
    # in float32, as the official banks are: near the floor their rounding is seen
    band = torch.arange(BANDS, dtype=torch.float32)
    left, centre, right = low + band * step, low + (band + 1) * step, low + (band + 2) * step
    hertz = torch.arange(_FFT // 2, dtype=torch.float32) * (RATE / _FFT)
    mel = (1127.0 * (1 + hertz / 700).log())[:, None]
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    triangles = torch.minimum(rising, falling).clamp_min(0)
    return torch.nn.functional.pad(triangles, (0, 0, 0, 1))


@cache
def _librosa_weights() -> Tensor:
    """(257, 128) float32."""
    filters = require("librosa").filters.mel(
        sr=RATE, n_fft=_FFT, n_mels=BANDS, fmin=_LOW_HZ, fmax=_HIGH_HZ
    )
    return torch.from_numpy(np.ascontiguousarray(filters.T))


def fit_frames(bank: Tensor, frames: int, valid: Tensor | None = None) -> Tensor:
    """A filterbank cut, or filled with zeros at the end of time, to a number of frames.

    Args:
        bank: (B, F, M).
        frames: wanted.
        valid: (B,) frames that belong to each waveform; those after them become zero too.

    Returns:
        (B, frames, M).
    """
    bank = torch.nn.functional.pad(bank[:, :frames], (0, 0, 0, max(frames - bank.shape[1], 0)))
    if valid is None:
        return bank
    inside = torch.arange(frames, device=bank.device) < valid[:, None]
    return bank * inside[:, :, None]


def waveform_of(energies: Tensor, iterations: int = 32) -> NDArray[np.float32]:
    """A sound with roughly these energies of `kaldi_filterbank`; its phases are guessed.

    The least squares spectrum of the bands, Griffin and Lim's (1984) phases by librosa, and
    pre-emphasis undone.

    Args:
        energies: (F, 128) log energies.
        iterations: of the phases.

    Returns:
        (n,) at 16 kHz.

    Raises:
        MissingExtra: librosa is not installed.
    """
    from scipy.signal import lfilter

    weights = _kaldi_weights().numpy().astype(np.float64)
    bands = np.exp(energies.double().numpy())
    power = np.maximum(bands @ np.linalg.pinv(weights), 0)
    guessed = require("librosa").griffinlim(
        np.sqrt(power).T.astype(np.float32), n_iter=iterations, hop_length=HOP,
        win_length=_WIDTH, n_fft=_FFT, random_state=0,
    )  # fmt: skip
    return lfilter([1.0], [1.0, -_PRE_EMPHASIS], guessed).astype(np.float32)
