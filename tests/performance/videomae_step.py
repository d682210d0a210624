"""Times one training step of VideoMAE: dual masking against none, and ours against the plain way.

    python tests/performance/videomae_step.py [--device cpu|cuda] [--size s|b|l] [--batch 2]

Prints ratios of interleaved rounds, median with the range; bytes kept for the backward pass; and,
where the device's peak is known, MFU. On the CPU seconds are the processor's, of all threads.
Losses are checked equal before timing.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from mae_step import ADAMW, report, rounds
from plain_video import PlainVideoMAE

from masquerade.core.draws import Draws
from masquerade.core.masking import Masker, RunningCellMasker, TubeMasker
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.training.compiling import compile_blocks
from masquerade.core.training.flops import forward_flops, peak_flops
from masquerade.methods.video.videomae import VideoMAE

SIZES = {
    "s": {"dim": 384, "depth": 12, "heads": 6, "decoder_dim": 192, "decoder_heads": 3},
    "b": {"dim": 768, "depth": 12, "heads": 12, "decoder_dim": 384, "decoder_heads": 6},
    "l": {"dim": 1024, "depth": 24, "heads": 16, "decoder_dim": 512, "decoder_heads": 8},
}
TUBE = TubeMasker(ratio=0.9)
DUAL = RunningCellMasker(encoder=TUBE, decoder_ratio=0.5)


class Steps:
    """The training steps under comparison, on one batch of clips of 16 × 224²."""

    def __init__(self, size: str, batch: int, device: torch.device) -> None:
        self.size, self.device = size, device
        generator = torch.Generator().manual_seed(0)
        clips = torch.randn(batch, 1, 3, 16, 224, 224, generator=generator).to(device)
        self.batch = Batch({"video": clips}, ids=torch.arange(batch, device=device))

    def model(self, masking: Masker) -> VideoMAE:
        torch.manual_seed(0)
        made = VideoMAE(VideoMAE.Config(**SIZES[self.size], masking=masking))
        return made.to(self.device).train()

    def draws(self) -> Draws:
        return Draws(0, self.batch.ids)

    def ours(self, masking: Masker, *, bf16: bool = False, compiled: bool = False) -> Callable:
        model = self.model(masking)
        optimizer = torch.optim.AdamW(model.parameters(), fused=True, **ADAMW)
        if compiled:
            compile_blocks(model)
        return self.step(
            lambda: model(self.batch, self.draws(), StepContext()).loss, optimizer, bf16
        )

    def plain(self, masking: Masker, *, fused: bool = False, bf16: bool = False) -> Callable:
        ours = self.model(masking)
        model = PlainVideoMAE(ours, fused=fused).to(self.device)
        parameters = model.parameters_of_step()
        optimizer = torch.optim.AdamW(parameters, fused=False, foreach=False, **ADAMW)
        clips = self.batch["video"].flatten(0, 1)

        def loss() -> torch.Tensor:
            tokens = ours.tokenize(self.batch)
            mask = masking(tokens, self.draws().views(1).fork("mask"), StepContext())
            return model(clips, mask)

        return self.step(loss, optimizer, bf16)

    def step(self, loss: Callable, optimizer: torch.optim.Optimizer, bf16: bool) -> Callable:
        def run() -> torch.Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                value = loss()
            value.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return value.detach()

        return run

    def kept_bytes(self, way: Callable) -> int:
        """Bytes of storages that autograd keeps for the backward pass, parameters among them."""
        seen: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            way()
        return sum(seen.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="s", choices=SIZES)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    cuda = device.type == "cuda"
    print(f"torch {torch.__version__}, {device}, {options.threads} threads")
    steps = Steps(options.size, options.batch, device)
    for masking in (TUBE, DUAL):
        ours, plain = float(steps.ours(masking)()), float(steps.plain(masking)())
        assert abs(ours - plain) < 1e-5 * abs(plain), (ours, plain)
        print(f"equal losses, {masking.kind}: ours {ours:.7f}, plain {plain:.7f}")
    ways = {
        "no decoder mask": steps.ours(TUBE),
        "running cell 50 %": steps.ours(DUAL),
        "no decoder mask, bf16": steps.ours(TUBE, bf16=True),
        "running cell 50 %, bf16": steps.ours(DUAL, bf16=True),
    }
    title = f"ViT-{options.size.upper()}/16, 16 × 224², batch {options.batch}"
    clock = time.perf_counter if cuda else time.process_time
    times = rounds(ways, options.rounds, device, clock)
    report(f"{title}: what the decoder's mask saves", times, options.batch, "clips")
    kept = [steps.kept_bytes(ways[name]) / 2**20 for name in list(ways)[:2]]
    print(f"  kept for the backward pass: {kept[0]:.0f} and {kept[1]:.0f} MiB")
    ways = {
        "plain float32": steps.plain(DUAL),
        "plain float32, fused attention": steps.plain(DUAL, fused=True),
        "ours float32": steps.ours(DUAL),
        "plain bf16, fused attention": steps.plain(DUAL, fused=True, bf16=True),
        "ours bf16": steps.ours(DUAL, bf16=True),
    }
    if cuda:
        ways["ours bf16, compiled blocks"] = steps.ours(DUAL, bf16=True, compiled=True)
    times = rounds(ways, options.rounds, device, clock)
    report(f"{title}, running cell: against the plain way", times, options.batch, "clips")
    flops = 3 * forward_flops(steps.model(DUAL), steps.batch, steps.draws(), StepContext())
    print(f"\nmodel FLOPs: {flops / 1e9:.1f} GFLOP per clip and training step")
    for name, seconds in times.items():
        peak = peak_flops(device, "bf16" if "bf16" in name else "fp32")
        rate = flops * options.batch / statistics.median(seconds)
        share = f"  MFU {rate / peak:.1%}" if peak else ""
        print(f"  {name:34s} {rate / 1e12:7.3f} TFLOP/s{share}")


if __name__ == "__main__":
    main()
