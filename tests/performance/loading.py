"""Images per second from files to batches: folder, tar, packs; 0, 1 and 2 workers.

Run by hand: `python -m tests.performance.loading` in the repository. The JPEGs are 500 × 375
pixels (ImageNet's usual size), enlarged or cut from the embedded photographs, quality 90; what is
timed is RandomResizedCrop to 224 with flip, normalization and collation, batch 32. The plain way is
the same steps with Pillow and NumPy alone, without our classes, on one process.
"""

import argparse
import io
import random
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow

from masquerade.core.training.loader import Loader
from masquerade.modalities.image import Image
from masquerade.modalities.image.embedded import PHOTOGRAPHS, photograph
from masquerade.modalities.packs import pack_source

SIZE, BATCH = (500, 375), 32


def write_pictures(root: Path, count: int) -> None:
    """A folder per photograph, and one tar of the same files."""
    rng = np.random.default_rng(0)
    with tarfile.open(root / "shards.tar", "w") as tar:
        for i in range(count):
            name = sorted(PHOTOGRAPHS)[i % len(PHOTOGRAPHS)]
            whole = photograph(name).image()
            side = int(rng.integers(min(whole.size) * 2 // 3, min(whole.size)))
            left, top = (int(rng.integers(0, s - side + 1)) for s in whole.size)
            buffer = io.BytesIO()
            cut = (left, top, left + side, top + side * 3 // 4)
            whole.resize(SIZE, box=cut).save(buffer, "JPEG", quality=90)
            path = root / "folder" / name / f"{i:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
            info = tarfile.TarInfo(f"{name}/{i:05d}.jpg")
            info.size = len(buffer.getvalue())
            tar.addfile(info, io.BytesIO(buffer.getvalue()))


def plain_rate(root: Path, count: int) -> float:
    """Images per second of the plain way on one process."""
    paths = sorted((root / "folder").rglob("*.jpg"))
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)
    start, batch = time.perf_counter(), []
    for i in range(count):
        image = Pillow.open(paths[i % len(paths)]).convert("RGB")
        side = random.randint(200, 375)  # noqa: S311 - a timing, no secret
        image = image.crop((10, 0, 10 + side, side)).resize((224, 224), Pillow.Resampling.BICUBIC)
        batch.append((np.asarray(image, np.float32) / 255 - mean) / std)
        if len(batch) == BATCH:
            torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).contiguous()
            batch = []
    return count / (time.perf_counter() - start)


def rate(source: object, workers: int, count: int, config: Image.Config) -> tuple[float, float]:
    """(images per second, seconds to the first batch)."""
    loader = Loader(source, Image(config), batch_size=BATCH, seed=0, workers=workers)
    batches = loader.batches()
    start = time.perf_counter()
    next(batches)
    begun = time.perf_counter()
    for _ in range(count // BATCH):
        next(batches)
    seconds = time.perf_counter() - begun
    batches.close()
    return count // BATCH * BATCH / seconds, begun - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=512)
    parser.add_argument("--images", type=int, default=1536, help="timed per row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_pictures(root, options.files)
        pack_source(Image.open(root / "folder"), root / "full.pack")
        pack_source(Image.open(root / "folder"), root / "256.pack", 256)
        sources = {
            "folder": root / "folder",
            "tar": root / "shards.tar",
            "pack, full size": root / "full.pack",
            "pack, short side 256": root / "256.pack",
        }
        print(f"{'plain':<22} 1 process {plain_rate(root, options.images):8.0f} images/s")  # noqa: T201
        for label, path in sources.items():
            for workers in (0, 1, 2):
                found, first = rate(
                    Image.open(path), workers, options.images, Image.Config(size=224)
                )
                print(  # noqa: T201
                    f"{label:<22} {workers} workers {found:8.0f} images/s"
                    f"  (first batch after {first:.2f} s)"
                )


if __name__ == "__main__":
    main()
