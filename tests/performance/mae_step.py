"""Times one training step of MAE, ours against the plain way, side by side in one run.

    python tests/performance/mae_step.py [--device cpu|cuda] [--size s|b|l] [--batch 32]

Prints ratios (plain / ours) of interleaved rounds, median with the range; what each trick
gives; where the time goes; peak memory of a step. Losses are checked equal before timing.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from plain import PlainMAE

from masquerade.core.draws import Draws
from masquerade.core.masking import RandomMasker
from masquerade.core.objectives import patch_mse
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.training.compiling import compile_blocks
from masquerade.core.training.flops import forward_flops, peak_flops
from masquerade.methods.image.mae import MAE

SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
ADAMW = {"lr": 1e-4, "betas": (0.9, 0.95), "weight_decay": 0.05}


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def make(size: str, ratio: float, device: torch.device) -> MAE:
    dim, depth, heads = SIZES[size]
    torch.manual_seed(0)
    masking = RandomMasker(ratio=ratio)
    return MAE(MAE.Config(dim=dim, depth=depth, heads=heads, masking=masking)).to(device)


class Steps:
    """The training steps under comparison, on one batch."""

    def __init__(self, size: str, ratio: float, batch: int, device: torch.device) -> None:
        self.device, self.ratio = device, ratio
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(batch, 3, 224, 224, generator=generator).to(device)
        self.batch = Batch({"image": images}, ids=torch.arange(batch, device=device))
        self.size = size

    def draws(self) -> Draws:
        return Draws(0, self.batch.ids)

    def noise(self) -> torch.Tensor:
        return self.draws().fork("mask").uniform(196)

    def ours(
        self, *, compiled: bool = False, bf16: bool = False, encoder: bool = False
    ) -> Callable:
        model = make(self.size, self.ratio, self.device)
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), fused=True, **ADAMW)

        def loss() -> torch.Tensor:
            if encoder:
                tokens = model.tokenize(self.batch)
                mask = model.config.masking(tokens, self.draws().fork("mask"), StepContext())
                return model.encoder.encode(tokens, mask).square().mean()
            return model(self.batch, self.draws(), StepContext()).loss

        if compiled:
            compile_blocks(model)
        return self.step(loss, optimizer, bf16)

    def plain(self, *, fused: bool = False, bf16: bool = False, encoder: bool = False) -> Callable:
        model = PlainMAE(make(self.size, self.ratio, self.device), fused=fused).to(self.device)
        parameters = model.parameters_of_step()
        optimizer = torch.optim.AdamW(parameters, fused=False, foreach=False, **ADAMW)

        def loss() -> torch.Tensor:
            if encoder:
                return model.encode(self.batch["image"], self.noise())[0].square().mean()
            return model(self.batch["image"], self.noise())

        return self.step(loss, optimizer, bf16)

    def step(self, loss: Callable, optimizer: torch.optim.Optimizer, bf16: bool) -> Callable:
        def run() -> float:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                value = loss()
            value.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return value

        return run


def rounds(
    ways: dict[str, Callable],
    n: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each way in n interleaved rounds, after one warm-up of each."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(n + 1):
        for name, run in ways.items():
            synchronize(device)
            start = clock()
            run()
            synchronize(device)
            if number:
                times[name].append(clock() - start)
    return times


def report(title: str, times: dict[str, list[float]], batch: int, unit: str = "images") -> None:
    """Each way's median seconds, images/s, and the ratio of the first way's time to its own."""
    print(f"\n{title}", flush=True)
    base = next(iter(times.values()))
    for name, seconds in times.items():
        ratios = sorted(a / b for a, b in zip(base, seconds, strict=True))
        median = statistics.median(seconds)
        print(
            f"  {name:34s} {median:7.3f} s  {batch / median:8.1f} {unit}/s  "
            f"{statistics.median(ratios):5.2f}x  ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        )


def check_equal(steps: Steps) -> None:
    """Ours and the plain way give the same first loss."""
    ours, plain = float(steps.ours()()), float(steps.plain()())
    assert abs(ours - plain) < 1e-5 * abs(plain), (ours, plain)
    print(f"equal losses: ours {ours:.7f}, plain {plain:.7f}")


def where_time_goes(steps: Steps) -> None:
    """The share of the parts of our step, by the profiler."""
    model = make(steps.size, steps.ratio, steps.device)
    parts: dict[str, float] = {}
    for name in ("mask", "encode", "decode", "loss", "backward"):
        parts[name] = 0.0
    for number in range(4):
        clock = [time.perf_counter()]

        def lap(name: str, clock: list = clock, number: int = number) -> None:
            synchronize(steps.device)
            now = time.perf_counter()
            parts[name] += (now - clock[0]) * (number > 0)
            clock[0] = now

        tokens = model.tokenize(steps.batch)
        mask = model.config.masking(tokens, steps.draws().fork("mask"), StepContext())
        lap("mask")
        latents = model.encoder.encode(tokens, mask)
        lap("encode")
        prediction = model.decoder(latents, mask)
        lap("decode")
        loss = patch_mse(prediction, tokens.values, mask)
        lap("loss")
        loss.backward()
        lap("backward")
    total = sum(parts.values())
    print("\nwhere our step's time goes (float32 eager, without the optimizer)")
    print("  " + "  ".join(f"{k} {v / total:.1%}" for k, v in parts.items()))


def saved_memory(steps: Steps) -> None:
    """Bytes of activations that autograd keeps for the backward pass of one step."""
    print("\nactivations kept for the backward pass")
    base = 0
    for name, way in (("plain", steps.plain()), ("ours", steps.ours())):
        seen: dict[int, int] = {}

        def keep(tensor: torch.Tensor, seen: dict = seen) -> torch.Tensor:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            way()
        size = sum(seen.values())
        base = base or size
        print(f"  {name:6s} {size / 2**20:8.0f} MiB  {base / size:.2f}x")


def utilisation(steps: Steps, times: dict[str, list[float]], batch: int) -> None:
    """Model FLOPs of a step by shapes, the rate reached, and MFU where the peak is known."""
    model = make(steps.size, steps.ratio, steps.device)
    flops = 3 * batch * forward_flops(model, steps.batch, steps.draws(), StepContext())
    print(f"\nmodel FLOPs: {flops / batch / 1e9:.1f} GFLOP per image and training step")
    for name, seconds in times.items():
        peak = peak_flops(steps.device, "bf16" if "bf16" in name else "fp32")
        rate = flops / statistics.median(seconds)
        share = f"  MFU {rate / peak:.1%}" if peak else ""
        print(f"  {name:34s} {rate / 1e12:7.3f} TFLOP/s{share}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="s", choices=SIZES)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {device}, {options.threads} threads")
    for ratio in (0.75, 0.9):
        steps = Steps(options.size, ratio, options.batch, device)
        check_equal(steps)
        ways = {
            "plain float32": steps.plain(),
            "plain float32, fused attention": steps.plain(fused=True),
            "ours float32": steps.ours(),
            "ours float32 compiled": steps.ours(compiled=True),
            "plain bf16": steps.plain(bf16=True),
            "plain bf16, fused attention": steps.plain(fused=True, bf16=True),
            "ours bf16": steps.ours(bf16=True),
            "ours bf16 compiled": steps.ours(bf16=True, compiled=True),
        }
        if ratio != 0.75:  # the main comparison only
            ways = {name: run for name, run in ways.items() if "compiled" not in name}
        times = rounds(ways, options.rounds, device)
        title = f"ViT-{options.size.upper()}/16, ratio {ratio}, batch {options.batch}, step"
        report(title, times, options.batch)
        if ratio == 0.75:
            utilisation(steps, times, options.batch)
            where_time_goes(steps)
            saved_memory(steps)
        alone = {
            "plain float32": steps.plain(encoder=True),
            "plain float32, fused attention": steps.plain(fused=True, encoder=True),
            "ours float32": steps.ours(encoder=True),
            "ours bf16": steps.ours(encoder=True, bf16=True),
        }
        times = rounds(alone, options.rounds, device)
        report(f"encoder alone, ratio {ratio}", times, options.batch)


if __name__ == "__main__":
    main()
