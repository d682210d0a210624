"""A generator without torch: worker processes of it start in a tenth of the time."""

import time

import numpy as np

from masquerade.core.config import Config
from masquerade.generators.generator import Generator, Rendered

NAME = "stripes:Stripes"


class Stripes(Generator):
    """One colour and one period per identity, one phase per picture (NumPy's own Philox)."""

    slug = "stripes"
    hash = "5" * 64

    class Settings(Config):
        pause_s: float = 0.0
        fail_at: int = -1

    @classmethod
    def open(cls, weights, device):
        return cls()

    def facts(self):
        return {}

    def prepare(self, n_identities, settings, seed, folder, progress):
        return {}

    def render(self, plan, identities, numbers):
        time.sleep(plan.settings.pause_s)
        if plan.settings.fail_at in identities:
            raise ValueError(f"no identity {plan.settings.fail_at}")
        images = []
        for identity, number in zip(identities.tolist(), numbers.tolist(), strict=True):
            own = np.random.Philox(key=[plan.seed, identity])
            colour, period = (own.random_raw(2) >> 56) + 9
            phase = np.random.Philox(key=[plan.seed + 1, identity * 10_000 + number]).random_raw()
            line = (np.arange(16) + int(phase % 97)) % int(period % 7 + 2)
            image = np.zeros((12, 16, 3), np.uint8)
            image[:, line == 0] = colour % 256
            image[number % 12, :, identity % 3] = 200
            images.append(image)
        return Rendered(np.stack(images))

    def audit(self, dataset):
        return {"images": len(dataset)}
