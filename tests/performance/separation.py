"""Times the separation of identity vectors against what this machine's products allow.

    python tests/performance/separation.py [--count 20000] [--width 512] [--tau 0.3] [--threads 2]

Prints the time of plain N(0, 1) vectors, the candidates tried, peak memory, the arithmetic bound
(operations of all pairs at the measured rate of one large float32 product) and the ratio to it,
what the cost law predicts for this run and for 300,000; then verifies the certificate over every
pair (left out above 20,000 unless --verify).
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from masquerade.generators.vec2face.certificate import certify, verify_certificate, write_identities
from masquerade.generators.vec2face.sampling import GaussianSampler
from masquerade.generators.vec2face.separation import SeparationSettings, separate
from masquerade.generators.vec2face.separation_cost import (
    measure_rates,
    plan_cost,
    product_bound_s,
)

VERIFIED = 20_000
PLANNED = 300_000


def product_rates(width: int, rounds: int = 3, size: int = 4096) -> tuple[float, float]:
    """FLOP/s of the fastest of some large float32 products: by the clock, and per core used."""
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal((size, width), dtype=np.float32) for _ in range(2))
    out = np.empty((size, size), dtype=np.float32)
    clock, own = [], []
    for _ in range(rounds + 1):
        start, spent = time.perf_counter(), time.process_time()
        np.matmul(left, right.T, out=out)
        clock.append(time.perf_counter() - start)
        own.append(time.process_time() - spent)
    flops = 2 * size**2 * width
    return flops / min(clock[1:]), flops / min(own[1:])


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(count: int, width: int, tau: float, *, verify: bool) -> None:
    sampler, settings = GaussianSampler(width=width), SeparationSettings(tau=tau)
    before = peak_bytes()
    rates = measure_rates(width)
    print(f"cost law, before the run: {plan_cost(count, width, 1.0, rates)}")
    rate = product_rates(width)
    start, spent = time.perf_counter(), time.process_time()
    found = separate(sampler, count, settings, seed=0)
    seconds, spent = time.perf_counter() - start, time.process_time() - spent
    # the better of two looks: other work on the machine must not flatter the ratio
    rate, core_rate = (max(pair) for pair in zip(rate, product_rates(width), strict=True))
    certificate = certify(found, sampler, settings, seed=0)
    bound = product_bound_s(count, found.tried, width, rate)
    own = product_bound_s(count, found.tried, width, core_rate)
    print(certificate)
    print(f"time                  {seconds:8.1f} s")
    print(f"arithmetic bound      {bound:8.1f} s  (one large product: {rate / 1e9:.1f} GFLOP/s)")
    print(f"bound / time          {bound / seconds:8.2f}")
    # on a shared machine the processors' own time says what the code itself needs
    print(f"the same, processors' {own / spent:8.2f}  ({own:.1f} of {spent:.1f} s of all cores)")
    print(f"of which candidates   {found.tried * rates.draw_s:8.1f} s drawn")
    print(f"peak memory           {peak_bytes() / 2**30:8.2f} GiB, {before / 2**30:.2f} before")
    ratio = found.tried / count
    planned = plan_cost(PLANNED, width, ratio, rates)
    print(f"cost law, {PLANNED} at {ratio:.3f} tried per vector: {planned}")
    if verify:
        with tempfile.TemporaryDirectory() as folder:
            write_identities(Path(folder), found.vectors, certificate)
            start = time.perf_counter()
            verify_certificate(Path(folder))
        print(f"verified every pair   {time.perf_counter() - start:8.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--tau", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--verify", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        print(f"{options.count} x {options.width}, tau {options.tau}, {options.threads} threads")
        verify = options.verify or options.count <= VERIFIED
        measure(options.count, options.width, options.tau, verify=verify)


if __name__ == "__main__":
    main()
