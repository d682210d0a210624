"""Times Vec2Face's generation (published size B, random weights) against the plain way.

    python tests/performance/vec2face_images.py [--device cpu|cuda] [--images 20] [--rounds 3]

The plain way is the official one: five pictures of one identity at a time, nothing across
identities. Ours are batched across identities. Both end with JPEG files in memory, made by the
engine's encoder. Prints images/s of interleaved rounds, median with the range; what each trick
gives; where the time goes. With CUDA also bf16, compiled blocks, encoding in threads beside the
network, and which share of the time the GPU computes. Pictures are checked equal before timing.
"""

import argparse
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent))
from plain_vec2face import PlainVec2Face, enlarged  # noqa: E402

from masquerade.core.draws import Draws  # noqa: E402
from masquerade.core.training.compiling import compile_blocks  # noqa: E402
from masquerade.generators.engine.pictures import encode, picture_format  # noqa: E402
from masquerade.generators.vec2face.config import GENERATION_ROWS, SIZES  # noqa: E402
from masquerade.generators.vec2face.frame import ARCFACE_STD  # noqa: E402
from masquerade.generators.vec2face.image_decoder import ImageDecoder, Upsample  # noqa: E402
from masquerade.generators.vec2face.model import Vec2FaceNet  # noqa: E402

OFFICIAL_BATCH = 5
FORMAT = picture_format()
# the process's own time leaves out what others do on the machine: for one thread on the CPU
CLOCKS = {"wall": time.perf_counter, "process": time.process_time}
Seconds = dict[str, list[float]]


class Enlarging(nn.Module):
    """The way up as it is usually written."""

    def __init__(self, layer: Upsample) -> None:
        super().__init__()
        self.conv = layer.conv

    def forward(self, x: Tensor) -> Tensor:
        return enlarged(self, x)


class Work:
    """The pictures to make, and the ways to make them.

    Args:
        net: ours.
        images: how many pictures, five of each identity.
        batch: of our ways.
        encoders: threads that encode.
        device: where the network is.
        clock: of `CLOCKS`.
    """

    def __init__(
        self, net: Vec2FaceNet, images: int, batch: int, encoders: int, device: torch.device,
        clock: str = "wall",
    ) -> None:  # fmt: skip
        self.net, self.batch, self.encoders, self.device = net, batch, encoders, device
        self.clock = clock
        self.ids = torch.arange(images, device=device)
        people = Draws(0, self.ids // OFFICIAL_BATCH, stream="people").normal(net.config.rep_dim)
        self.vectors = people * ARCFACE_STD

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids and vectors of the batches."""
        yield from zip(self.ids.split(size), self.vectors.split(size), strict=True)

    def plain(self, *, fused: bool = False) -> Callable[[], None]:
        """The official way: its own noise, one identity at a time, encoding in between."""
        model = PlainVec2Face(self.net, GENERATION_ROWS.r_min, fused=fused)

        def run() -> None:
            for ids, vectors in self.parts(OFFICIAL_BATCH):
                noise = torch.rand(len(ids), 49, device=self.device)
                rate = GENERATION_ROWS.rates(Draws(0, ids[:1]))
                write(levels(model(vectors, noise, rate.expand(len(ids)))).cpu())

        return run

    def ours(
        self, net: Vec2FaceNet | None = None, *, size: int | None = None, bf16: bool = False
    ) -> Callable[[], None]:
        """Batched, encoding in between."""

        def run() -> None:
            for ids, vectors in self.parts(size or self.batch):
                write(self.made(net or self.net, ids, vectors, bf16=bf16).cpu())

        return run

    def overlapped(self, net: Vec2FaceNet, *, ahead: int) -> Callable[[], None]:
        """bf16; threads encode while the network makes the next batches.

        `ahead` batches are queued on the device before the first is read; the engine's workers
        have ahead = 0.
        """

        def run() -> None:
            queued: deque[Tensor] = deque()
            written: list[Future[int]] = []
            with ThreadPoolExecutor(self.encoders) as pool:
                for ids, vectors in self.parts(self.batch):
                    queued.append(self.made(net, ids, vectors, bf16=True))
                    while len(queued) > ahead:
                        written += submit(pool, queued.popleft().cpu())
                for pictures in queued:
                    written += submit(pool, pictures.cpu())
            for future in written:
                future.result()

        def submit(pool: ThreadPoolExecutor, pictures: Tensor) -> list[Future[int]]:
            return [pool.submit(write, part) for part in pictures.chunk(self.encoders)]

        return run

    def made(self, net: Vec2FaceNet, ids: Tensor, vectors: Tensor, *, bf16: bool) -> Tensor:
        """uint8 (B, S, S, 3) on the device."""
        mask = GENERATION_ROWS.draw(Draws(0, ids))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            return levels(net(vectors, mask).image)

    def where_time_goes(self) -> None:
        """Milliseconds per picture of each part of ours, float32, one batch."""
        now = CLOCKS[self.clock]
        ids, vectors = next(self.parts(self.batch))
        laps: dict[str, float] = {}
        state: dict[str, object] = {}
        steps: dict[str, Callable[[], object]] = {
            "mask": lambda: GENERATION_ROWS.draw(Draws(0, ids)),
            "encoder": lambda: self.net.encode(*self.net.expand_vectors(vectors), state["mask"]),
            "decoder": lambda: self.net.decode(state["encoder"], state["mask"]),
            "image decoder": lambda: self.net.paint(state["decoder"]),
            "uint8": lambda: levels(state["image decoder"]).cpu(),
            "JPEG": lambda: write(state["uint8"]),
        }
        for _ in range(2):  # the first time warms up
            for name, step in steps.items():
                synchronize(self.device)
                start = now()
                state[name] = step()
                synchronize(self.device)
                laps[name] = (now() - start) / len(ids) * 1e3
        total = sum(laps.values())
        print(f"\nwhere our time goes (float32, batch {len(ids)}): {total:.1f} ms per picture")
        print("  " + "   ".join(f"{k} {v:.2f} ms ({v / total:.1%})" for k, v in laps.items()))


def levels(images: Tensor) -> Tensor:
    """(B, 3, S, S) in about [-1, 1] → (B, S, S, 3) uint8."""
    scaled = (images.float().clamp(-1, 1) + 1).mul(127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def write(pictures: Tensor) -> int:
    """Encode uint8 pictures (B, S, S, 3) on the CPU; the bytes made."""
    return sum(len(encode(picture, FORMAT)) for picture in pictures.numpy())


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def check_equal(work: Work) -> None:
    """The same vectors and masks give the same pictures."""
    ids, vectors = next(work.parts(OFFICIAL_BATCH))
    draws = Draws(0, ids)
    noise, rates = draws.fork("rows").uniform(49), GENERATION_ROWS.rates(draws)
    mine = work.net(vectors, GENERATION_ROWS.from_noise(noise, rates)).image
    plain = PlainVec2Face(work.net, GENERATION_ROWS.r_min)(vectors, noise, rates)
    worst, spread = float((mine - plain).abs().max()), float(plain.std())
    assert worst < 1e-4 * max(spread, 1), (worst, spread)
    print(f"equal pictures: largest difference {worst:.1e}, deviation of the pixels {spread:.2f}")


def operations(net: Vec2FaceNet) -> None:
    """GFLOP per picture of both ways, by shapes."""
    draws = Draws(0, torch.zeros(1, dtype=torch.int64, device=next(net.parameters()).device))
    vectors = draws.normal(net.config.rep_dim)
    noise, rates = draws.fork("rows").uniform(49), GENERATION_ROWS.rates(draws)
    plain = PlainVec2Face(net, GENERATION_ROWS.r_min)
    counts = {}
    for name, run in {
        "plain": lambda: plain(vectors, noise, rates),
        "ours": lambda: net(vectors, GENERATION_ROWS.from_noise(noise, rates)),
    }.items():
        with FlopCounterMode(display=False) as counter:
            run()
        counts[name] = counter.get_total_flops() / 1e9
    print("GFLOP per picture: " + ", ".join(f"{k} {v:.1f}" for k, v in counts.items()))


def rounds(work: Work, ways: dict[str, Callable[[], None]], n: int) -> Seconds:
    """Seconds of each way in n interleaved rounds, after one warm-up of each."""
    now, device = CLOCKS[work.clock], work.device
    times: Seconds = {name: [] for name in ways}
    for number in range(n + 1):
        for name, run in ways.items():
            synchronize(device)
            start = now()
            run()
            synchronize(device)
            if number:
                times[name].append(now() - start)
    return times


def report(title: str, times: Seconds, images: int) -> None:
    """Each way's median images/s, and the ratio of the first way's time to its own."""
    print(f"\n{title}", flush=True)
    base = next(iter(times.values()))
    for name, seconds in times.items():
        ratios = sorted(a / b for a, b in zip(base, seconds, strict=True))
        print(
            f"  {name:48s} {images / statistics.median(seconds):9.2f} images/s  "
            f"{statistics.median(ratios):5.2f}x  ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        )


def busy(run: Callable[[], None]) -> float:
    """The share of a run's time in which the GPU computes (one stream: kernels do not overlap)."""
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        wall_us = (time.perf_counter() - start) * 1e6
    return sum(event.self_device_time_total for event in seen.key_averages()) / wall_us


def at_once(decoder: ImageDecoder, z: Tensor) -> Tensor:
    """The image decoder as on a GPU: all pictures of a batch together."""
    x = decoder.mid(decoder.conv_in(z))
    for level in reversed(decoder.up):
        x = level(x)
    return decoder.conv_out(F.silu(decoder.norm_out(x)))


def small_changes(work: Work) -> dict[str, Callable[[], None]]:
    """Ours without one trick, or with one more."""
    enlarging = deepcopy(work.net)
    for level in enlarging.image_decoder.up:
        if level.upsample is not None:
            level.upsample = Enlarging(level.upsample)
    whole = deepcopy(work.net)
    whole.image_decoder.forward = partial(at_once, whole.image_decoder)
    last = deepcopy(work.net)
    last.image_decoder.to(memory_format=torch.channels_last)
    return {
        "ours float32": work.ours(),
        "ours float32, batch 5": work.ours(size=OFFICIAL_BATCH),
        "ours float32, enlarged before convolving": work.ours(enlarging),
        "ours float32, whole batch in the image decoder": work.ours(whole),
        "ours float32, image decoder channels last": work.ours(last),
    }


def on_cuda(work: Work, n_rounds: int) -> None:
    """bf16, compiled blocks, overlapped encoding, and how busy the GPU is."""
    compiled = deepcopy(work.net)
    compiled.image_decoder.to(memory_format=torch.channels_last)
    compile_blocks(compiled)
    ways = {
        "ours bf16": work.ours(bf16=True),
        "ours bf16 compiled": work.ours(compiled, bf16=True),
        "… encoding beside it": work.overlapped(compiled, ahead=0),
        "… and two batches queued": work.overlapped(compiled, ahead=2),
    }
    images = len(work.ids)
    report(f"on the GPU, {work.encoders} encoding threads", rounds(work, ways, n_rounds), images)
    for name, run in ways.items():
        print(f"  {name:48s} the GPU computes {busy(run):.1%} of the time")
    print(f"  peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, help="per round (default: 20, CUDA 2000)")
    parser.add_argument("--batch", type=int, help="of ours (default: 20, CUDA 250)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    parser.add_argument("--encoders", type=int, default=8, help="threads, CUDA only")
    options = parser.parse_args()
    device = torch.device(options.device)
    gpu = device.type == "cuda"
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    net = Vec2FaceNet(SIZES["base"]).eval().requires_grad_(requires_grad=False).to(device)
    images = options.images or (2000 if gpu else 20)
    work = Work(net, images, min(options.batch or (250 if gpu else 20), images),
                options.encoders, device, options.clock)  # fmt: skip
    print(f"torch {torch.__version__}, {device}, {options.threads} threads, {images} pictures, "
          f"{options.clock} time")  # fmt: skip
    with torch.inference_mode():
        operations(net)
        check_equal(work)
        ways = {
            "plain float32, batch 5, one identity": work.plain(),
            "… with fused attention": work.plain(fused=True),
            f"ours float32, batch {work.batch}": work.ours(),
            f"ours bf16, batch {work.batch}": work.ours(bf16=True),
        }
        report("size B, with JPEG", rounds(work, ways, options.rounds), images)
        work.where_time_goes()
        report("one change at a time", rounds(work, small_changes(work), options.rounds), images)
        if gpu:
            on_cuda(work, options.rounds)


if __name__ == "__main__":
    main()
