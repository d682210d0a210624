"""Whether a trained generator draws the person that a vector stands for: held-out identities.

    python tests/performance/vec2face_bars.py --weights RUN --train FACES#fit \\
        --held-out FACES#held-out

FACES are aligned faces (`masquerade data prepare faces`), a folder per identity. Prints, for people
that the generator never saw, the pixel error against the mean training image, against shuffled
identities and against regressions from vector to pixels (linear ridge, and the kernel ridge that
teaches the first steps of vec2face-small); the cosine of matched and
mismatched pairs in the embedder's frame; the share of matched distances below 0.6; how far two
draws of the mask differ; and the area under the curve of an independent judge.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import interpolate

from masquerade.core.draws import Draws
from masquerade.core.perceptual import ssim
from masquerade.generators.vec2face.teacher import Teacher, TeacherSettings
from masquerade.methods.weights import load_method
from masquerade.modalities.image.faces.aligned import open_aligned
from masquerade.modalities.image.faces.embedders import open_embedder

TEMPLATE, SIDE, SMALL, BATCH = "arcface-112", 112, 56, 32
RIDGE = 3000.0  # on vectors of unit deviation


@dataclass(frozen=True)
class Faces:
    """Pictures (N, 3, 112, 112) in [-1, 1], raw vectors (N, d) and identities (N,)."""

    pictures: Tensor
    vectors: Tensor
    identity: Tensor


def read(folder: Path, embedder) -> Faces:
    faces = open_aligned(str(folder), TEMPLATE)
    pictures = faces.tensor(range(len(faces.source)))
    with torch.no_grad():
        vectors = batched(lambda x: embedder.embed(x, TEMPLATE), pictures)
    return Faces(pictures, vectors, torch.from_numpy(faces.source.labels))


def batched(function, *tensors: Tensor) -> Tensor:
    return torch.cat([
        function(*(t[i : i + BATCH] for t in tensors)) for i in range(0, len(tensors[0]), BATCH)
    ])  # fmt: skip


def strangers(identity: Tensor, seed: int = 0) -> Tensor:
    """For each row, a row of somebody else."""
    generator = np.random.default_rng(seed)
    people = identity.numpy()
    return torch.tensor([int(generator.choice(np.flatnonzero(people != p))) for p in people])


def ridge(train: Faces, frame, vectors: Tensor) -> Tensor:
    """Pixels from vectors by a regularised linear map fitted on train."""
    x, y = frame(train.vectors).double(), train.pictures.flatten(1).double()
    mean = y.mean(0)
    gram = x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, x.T @ (y - mean))
    return (frame(vectors).double() @ weights + mean).float().unflatten(1, (3, SIDE, SIDE))


def kernel_ridge(train: Faces, frame, vectors: Tensor) -> Tensor:
    """What the teacher of vec2face-small draws; fitted without mirrored faces here."""
    small = interpolate(train.pictures, (SMALL, SMALL), mode="area")
    teacher = Teacher(frame(train.vectors), small, TeacherSettings(variation=0))
    return interpolate(teacher(frame(vectors)), (SIDE, SIDE), mode="bilinear")


def similarity(a: Tensor, b: Tensor) -> float:
    """Mean SSIM of pictures in [-1, 1]."""
    return float(ssim((a + 1) / 2, (b + 1) / 2))


def judged(judge, real: Tensor, made: Tensor, identity: Tensor, other: Tensor) -> float:
    """The area under the curve of matched against mismatched cosines by an independent judge."""
    first, second = (
        torch.nn.functional.normalize(batched(lambda x: judge.embed(x, TEMPLATE), p))
        for p in (real, made.clamp(-1, 1))
    )
    matched, mismatched = (first * second).sum(1), (first[other] * second).sum(1)
    return roc_auc_score([1] * len(matched) + [0] * len(mismatched),
                         torch.cat([matched, mismatched]))  # fmt: skip


def measure(options: argparse.Namespace) -> dict:
    embedder = open_embedder("face-api")
    method = load_method(options.weights).eval()
    train, held = read(options.train, embedder), read(options.held_out, embedder)
    ids = torch.arange(len(held.identity))
    other = strangers(held.identity)

    def generate(vectors: Tensor, seed: int = 0) -> Tensor:
        return batched(
            lambda v, i: method.generate(method.frame(v), Draws(seed, i, stream="bars")),
            vectors,
            ids,
        )

    with torch.no_grad():
        made, again, shuffled = (
            generate(held.vectors), generate(held.vectors, 1), generate(held.vectors[other]),
        )  # fmt: skip
        clipped = made.clamp(-1, 1)
        seen = batched(lambda x: embedder.embed(x, TEMPLATE), clipped)
    mean = train.pictures.mean(0, keepdim=True)
    baselines = {
        "ridge": ridge(train, method.frame, held.vectors),
        "kernel ridge": kernel_ridge(train, method.frame, held.vectors),
    }

    def mse(pictures: Tensor) -> float:
        return float(((pictures - held.pictures) ** 2).mean())

    cosine = torch.nn.functional.cosine_similarity
    mine, theirs = method.frame(seen), method.frame(held.vectors)
    distance = (seen - held.vectors).norm(dim=1)
    found = {
        "pictures": len(ids), "identities": len(held.identity.unique()),
        "mse": mse(made), "mse_mean_image": mse(mean.expand_as(made)),
        "mse_shuffled": mse(shuffled), **{f"mse {k}": mse(v) for k, v in baselines.items()},
        "ssim": similarity(clipped, held.pictures),
        "ssim_mean_image": similarity(mean.expand_as(made).contiguous(), held.pictures),
        "cos_matched": float(cosine(mine, theirs).mean()),
        "cos_mismatched": float(cosine(mine, theirs[other]).mean()),
        "matched_below_0.6": float((distance < 0.6).float().mean()),
        "rms_of_two_masks": float((made - again).pow(2).mean().sqrt()),
        "std_between_pictures": float(made.std(0).mean()),
    }  # fmt: skip
    judge = open_embedder("pca-lda")
    found["judge_auc"] = judged(judge, held.pictures, made, held.identity, other)
    for name, pictures in baselines.items():
        drawn = pictures.clamp(-1, 1)
        with torch.no_grad():
            seen = method.frame(batched(lambda x: embedder.embed(x, TEMPLATE), drawn))
        auc = judged(judge, held.pictures, drawn, held.identity, other)
        found |= {
            f"mse / shuffled {name}": mse(pictures) / mse(pictures[other]),
            f"ssim {name}": similarity(drawn, held.pictures),
            f"cos_matched {name}": float(cosine(seen, theirs).mean()),
            f"judge_auc {name}": auc,
        }
    found["mse / mean image"] = found["mse"] / found["mse_mean_image"]
    found["mse / shuffled"] = found["mse"] / found["mse_shuffled"]
    found["gap"] = found["cos_matched"] - found["cos_mismatched"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--weights", "--train", "--held-out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps({k: round(v, 4) for k, v in measure(options).items()}, indent=2))


if __name__ == "__main__":
    main()
