"""Any number of channels at any rate to mono at 16 kHz."""

# n samples, C channels.

from math import gcd

import numpy as np
from numpy.typing import NDArray

from ...core.filterbank import RATE

MARGIN_S = 0.05  # of sound beyond both ends that the resampling filter wants


def mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, C) → (n,): the mean of the channels, whatever they are."""
    return samples.mean(axis=1, dtype=np.float32)


def resampled(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """(n,) at a rate → at 16 kHz: ⌈n · 16000 / rate⌉ samples, the first at the same time.

    A polyphase filter (Kaiser window), so that nothing above half the lower rate is left over.
    """
    if rate == RATE or not len(samples):
        return samples
    from scipy.signal import resample_poly

    common = gcd(RATE, rate)
    found = resample_poly(samples, RATE // common, rate // common)
    return found.astype(np.float32, copy=False)
