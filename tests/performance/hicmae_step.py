"""What a HiCMAE step costs and what it is made of, and whether the loader keeps up with it.

    python tests/performance/hicmae_step.py [--recipe hicmae] [--batch 4] [--steps 5] [--workers 0]
        [--data bunny] [--device cpu] [--set KEY=VALUE]…

Parts are timed by themselves, in turn, forward only: what a step does beside them is the backward
pass and the optimizer. The loader is asked for as many batches as there are steps, alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from masquerade.core.draws import Draws
from masquerade.core.step import StepContext
from masquerade.core.training.loader import Loader
from masquerade.methods.audio_visual.hicmae import HiCMAE
from masquerade.methods.recipes import resolve
from masquerade.modalities.audio_visual import AudioVisual
from masquerade.modalities.catalogue import resolve_data


def median(work: Callable[[], object], steps: int, device: str) -> float:
    found = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="hicmae")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--data", default="bunny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    settings = resolve("hicmae", given.recipe, given.set).settings
    loader = Loader(
        resolve_data(given.data, "audio-visual"), AudioVisual(settings.data),
        batch_size=given.batch, seed=0, workers=given.workers, device=given.device,
    )  # fmt: skip
    batches = loader.batches()
    batch = next(batches)
    load = median(lambda: next(batches), given.steps, given.device)
    model = HiCMAE(settings.method).to(given.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = model.tokenize(batch)
    masks = model._masks(*tokens[:2], Draws(0, batch.ids), len(batch))
    taps = model.config.taps

    def step() -> None:
        optimizer.zero_grad()
        model(batch, Draws(0, batch.ids), StepContext()).loss.backward()
        optimizer.step()

    with torch.no_grad():
        seen = model.streams.video.taps(tokens.video, masks[0], blocks=taps)
        heard = model.streams.audio.taps(tokens.audio, masks[1], blocks=taps)
        parts = {
            "spectrograms": lambda: model.config.spectrogram(batch),
            "tokens of both": lambda: model.tokenize(batch),
            "video encoder": lambda: model.streams.video.encode(tokens.video, masks[0]),
            "audio encoder": lambda: model.streams.audio.encode(tokens.audio, masks[1]),
            "fusion": lambda: model.streams.fusion(seen[-1], heard[-1], *tokens[2:]),
            "video decoder": lambda: model.decoder(seen[-1], masks[0], seen),
            "audio decoder": lambda: model.audio_decoder(heard[-1], masks[1], heard),
        }
        times = {name: median(part, given.steps, given.device) for name, part in parts.items()}
    whole = median(step, given.steps, given.device)
    print(f"{given.recipe}, batch {given.batch}, {torch.get_num_threads()} threads, {given.device}")
    for name, seconds in times.items():
        print(f"  {name:16} {1e3 * seconds:9.1f} ms  {100 * seconds / whole:5.1f} % of a step")
    print(f"  {'step':16} {1e3 * whole:9.1f} ms  forward, backward, AdamW")
    print(f"  {'loader':16} {1e3 * load:9.1f} ms  a batch, {given.workers} workers")
    print("the loader keeps up" if load < whole else "the loader is slower than the step")


if __name__ == "__main__":
    main()
