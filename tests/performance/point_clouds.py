"""Farthest points, neighbours, Chamfer and a training step: ours beside Open3D and plain loops.

    python -m tests.performance.point_clouds [--clouds 64] [--device cuda] [--repeats 3]

Everything is checked to be equal before it is timed. Open3D is left out where it is not installed,
pytorch3d where it cannot be imported. Times are the best of the repeats.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from masquerade.core.draws import Draws
from masquerade.core.extras import installed, require
from masquerade.core.geometry import chamfer, farthest_points, nearest_neighbours
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.methods.point_cloud.point_m2ae import PointM2AE

POINTS, SAMPLED, NEIGHBOURS = 2048, 512, 16


def best(call: Callable[[], object], device: str, repeats: int) -> float:
    """The least milliseconds of a call."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return 1e3 * min(found)


def plain_farthest(points: torch.Tensor, count: int) -> torch.Tensor:
    """The usual loop: a (B, N, 3) difference for every point chosen."""
    batch, n, _ = points.shape
    chosen = torch.zeros(batch, count, dtype=torch.int64, device=points.device)
    distance = torch.full((batch, n), 1e10, device=points.device)
    farthest = torch.zeros(batch, dtype=torch.int64, device=points.device)
    rows = torch.arange(batch, device=points.device)
    for i in range(count):
        chosen[:, i] = farthest
        centre = points[rows, farthest, :].view(batch, 1, 3)
        distance = torch.minimum(distance, torch.sum((points - centre) ** 2, -1))
        farthest = distance.max(-1)[1]
    return chosen


def open3d_farthest(points: torch.Tensor, count: int) -> list[np.ndarray]:
    o3d = require("open3d")
    found = []
    for cloud in points.double().numpy():
        shape = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud))
        found.append(np.asarray(shape.farthest_point_down_sample(count).points))
    return found


def plain_neighbours(queries: torch.Tensor, points: torch.Tensor, k: int) -> torch.Tensor:
    """Distances by the expanded product, all at once."""
    product = -2 * queries @ points.transpose(1, 2)
    squares = queries.square().sum(-1)[:, :, None] + points.square().sum(-1)[:, None]
    return torch.topk(product + squares, k, largest=False)[1]


def plain_chamfer(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    distance = ((first[:, :, None] - second[:, None]) ** 2).sum(-1)
    return (distance.amin(2).mean(1) + distance.amin(1).mean(1)).mean()


def report(name: str, rows: dict[str, float]) -> None:
    ours = rows["ours"]
    for who, ms in rows.items():
        print(f"{name:34} {who:10} {ms:10.1f} ms   ours is {ms / ours:6.2f} × as fast")


def time_sampling(points: torch.Tensor, device: str, repeats: int) -> None:
    wanted = plain_farthest(points, SAMPLED)
    assert torch.equal(farthest_points(points, SAMPLED, backend="torch"), wanted)
    rows = {
        "ours": best(lambda: farthest_points(points, SAMPLED, backend="torch"), device, repeats),
        "plain": best(lambda: plain_farthest(points, SAMPLED), device, repeats),
    }
    if installed("open3d") and device == "cpu":
        rows["open3d"] = best(lambda: open3d_farthest(points, SAMPLED), device, repeats)
    if installed("pytorch3d"):
        rows["pytorch3d"] = best(
            lambda: farthest_points(points, SAMPLED, backend="pytorch3d"), device, repeats
        )
    report(f"FPS {POINTS} → {SAMPLED}, {len(points)} clouds", rows)


def time_neighbours(points: torch.Tensor, device: str, repeats: int) -> None:
    queries = points[:, :SAMPLED].contiguous()
    _, ours = nearest_neighbours(queries, points, NEIGHBOURS, backend="torch")
    plain = plain_neighbours(queries, points, NEIGHBOURS)
    # the product's rounding may swap neighbours that are equally far to 1e-6
    assert (ours.sort(-1).values == plain.sort(-1).values).float().mean() > 0.999
    rows = {
        "ours": best(
            lambda: nearest_neighbours(queries, points, NEIGHBOURS, backend="torch"),
            device, repeats,
        ),
        "product": best(lambda: plain_neighbours(queries, points, NEIGHBOURS), device, repeats),
    }  # fmt: skip
    report(f"kNN k={NEIGHBOURS}, {SAMPLED} of {POINTS}", rows)


def time_chamfer(points: torch.Tensor, device: str, repeats: int) -> None:
    groups = points[:, : 8 * 200].reshape(-1, 8, 3)  # as in a training step
    others = groups.flip(0)
    torch.testing.assert_close(chamfer(groups, others), plain_chamfer(groups, others))
    rows = {
        "ours": best(lambda: chamfer(groups, others), device, repeats),
        "plain": best(lambda: plain_chamfer(groups, others), device, repeats),
    }
    report(f"Chamfer of {len(groups)} groups of 8", rows)
    whole = points[:8]
    rows = {
        "ours": best(lambda: chamfer(whole, whole.flip(0)), device, repeats),
        "plain": best(lambda: plain_chamfer(whole, whole.flip(0)), device, repeats),
    }
    report(f"Chamfer of 8 clouds of {POINTS}", rows)


def time_step(points: torch.Tensor, device: str, repeats: int, batch_size: int) -> None:
    torch.manual_seed(0)
    model = PointM2AE(PointM2AE.Config()).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    batch = Batch(
        {"points": points[:batch_size]}, ids=torch.arange(batch_size, device=points.device)
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(batch, Draws(0, batch.ids), StepContext()).loss.backward()
        optimizer.step()

    step()
    ms = best(step, device, repeats)
    print(f"Point-M2AE step, {batch_size} clouds of {POINTS}: {ms:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clouds", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step-batch", type=int, default=8, help="0 leaves the step out")
    given = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(given.clouds, POINTS, 3, generator=generator)
    points = (points / points.norm(dim=-1, keepdim=True)).to(given.device)
    time_sampling(points, given.device, given.repeats)
    time_neighbours(points, given.device, given.repeats)
    time_chamfer(points, given.device, given.repeats)
    if given.step_batch:
        time_step(points, given.device, given.repeats, given.step_batch)


if __name__ == "__main__":
    main()
