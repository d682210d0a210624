"""Filterbanks: against a loop over frames, librosa, the official array, and known sounds."""

import numpy as np
import pytest
import torch

from masquerade.core.filterbank import (
    BANDS,
    fit_frames,
    kaldi_filterbank,
    librosa_mel,
    n_frames,
    n_samples,
)

FLOOR = float(np.log(1.1920929e-07))


def tone(hertz: float, n: int = 8000) -> torch.Tensor:
    return (0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(n) / 16_000))[None]


def one_frame(x: np.ndarray) -> np.ndarray:
    """The definition in float64, a band and a bin at a time."""
    x = x - x.mean()
    emphasized = [x[i] - 0.97 * x[max(i - 1, 0)] for i in range(400)]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    power = np.abs(np.fft.rfft(np.array(emphasized) * window, 512)) ** 2

    def mel(f: float) -> float:
        return 1127 * np.log(1 + f / 700)

    step = (mel(8000) - mel(20)) / 129
    energies = []
    for band in range(128):
        left = mel(20) + band * step
        weights = [
            max(0, min((mel(31.25 * k) - left) / step, (left + 2 * step - mel(31.25 * k)) / step))
            for k in range(256)
        ]
        energies.append(np.dot(weights, power[:256]))
    return np.log(np.maximum(energies, 1.1920929e-07))


def test_filterbank_equals_its_definition_frame_by_frame() -> None:
    torch.manual_seed(0)
    waveforms = 0.1 * torch.randn(2, 400 + 3 * 160 + 7)
    found = kaldi_filterbank(waveforms)
    assert found.shape == (2, 4, BANDS)
    for row in range(2):
        for frame in range(4):
            part = waveforms[row, frame * 160 : frame * 160 + 400].double().numpy()
            np.testing.assert_allclose(found[row, frame], one_frame(part), atol=1e-4)


def test_filterbank_of_a_batch_equals_that_of_each_waveform() -> None:
    waveforms = torch.cat([tone(300), tone(2000), torch.zeros(1, 8000)])
    together = kaldi_filterbank(waveforms)
    alone = torch.cat([kaldi_filterbank(row[None]) for row in waveforms])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bank", [kaldi_filterbank, librosa_mel])
def test_a_tone_is_loudest_in_a_band_at_its_pitch(bank) -> None:
    if bank is librosa_mel:
        pytest.importorskip("librosa")
    loudest = [int(bank(tone(hertz))[0, 10].argmax()) for hertz in (200, 800, 3200)]
    assert loudest == sorted(set(loudest))
    if bank is kaldi_filterbank:  # band b is centred on mel(20) + (b + 1) step
        mel = [1127 * np.log(1 + f / 700) for f in (20, 8000, 800)]
        step = (mel[1] - mel[0]) / 129
        assert loudest[1] == pytest.approx((mel[2] - mel[0]) / step - 1, abs=1)


def test_silence_is_the_floor_and_a_constant_is_silence() -> None:
    for waveform in (torch.zeros(1, 800), torch.full((1, 800), 0.7)):
        assert torch.allclose(kaldi_filterbank(waveform), torch.tensor(FLOOR))


def test_counts_of_frames_and_samples() -> None:
    """By hand: 2.56 s are 254 frames (card section 9)."""
    assert [n_frames(n) for n in (0, 399, 400, 559, 560, 40_960)] == [0, 0, 1, 1, 2, 254]
    assert torch.equal(n_frames(torch.tensor([0, 400, 40_960])), torch.tensor([0, 1, 254]))
    assert n_frames(n_samples(256)) == 256
    assert n_frames(n_samples(256) - 1) == 255
    assert kaldi_filterbank(torch.zeros(2, 399)).shape == (2, 0, BANDS)


def test_frames_are_cut_or_filled_with_zeros_at_the_end() -> None:
    bank = torch.ones(2, 3, 4)
    assert fit_frames(bank, 2).shape == (2, 2, 4)
    filled = fit_frames(bank, 5, valid=torch.tensor([3, 1]))
    assert filled.sum(dim=(1, 2)).tolist() == [12, 4]
    assert filled[1, 0].eq(1).all()


def test_librosa_mel_equals_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(1, 6000)
    wanted = librosa.feature.melspectrogram(
        y=waveform[0].numpy(), sr=16_000, n_fft=512, hop_length=160, win_length=400, n_mels=128,
        fmin=20, fmax=8000, pad_mode="constant",
    )  # fmt: skip
    found = librosa_mel(waveform)[0]
    wanted = np.log(np.maximum(wanted.T[: len(found)], 1.1920929e-07))
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_filterbank_equals_the_golden_array(shared) -> None:
    with np.load(shared / "golden" / "hicmae.npz", allow_pickle=False) as golden:
        waveforms = torch.from_numpy(golden["input/waveform"])
        wanted = golden["output/fbank_raw"]
    found = kaldi_filterbank(waveforms - waveforms.mean(1, keepdim=True))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)  # asked for: 1e-4
