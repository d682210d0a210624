"""The model card's figures about new identities: a synthesized set beside real people.

    masquerade synthesize vec2face --identities 100 --images-per-identity 10 --out SET
    python tests/performance/vec2face_card.py --set SET --train FACES#fit --real FACES#held-out \\
        [--sheet sheet.png]

Identity by the generator's own net (cosines in its frame) and by the independent judge; how many
pictures are nearer to a training picture than that picture is to any other person; how far pictures
of one identity differ. Each figure stands beside the same one of real people never trained on.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize
from vec2face_bars import TEMPLATE, Faces, batched, read, strangers

from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.vec2face.certificate import read_identities
from masquerade.generators.vec2face.synthesizer import Synthesizer
from masquerade.modalities.image.faces.embedders import open_embedder


def made(dataset: SynthesizedSet, embedder) -> Faces:
    """The set as the faces of `read`."""
    rows, levels = zip(*dataset.batches(len(dataset)), strict=True)
    pictures = torch.from_numpy(levels[0]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    with torch.no_grad():
        vectors = batched(lambda x: embedder.embed(x, TEMPLATE), pictures)
    return Faces(pictures, vectors, torch.tensor([row.identity for row in rows[0]]))


def pairs(vectors: Tensor, identity: Tensor) -> dict[str, float]:
    """All pairs of pictures: mean cosines of one person and of two, the area under the curve."""
    unit = normalize(vectors)
    first, second = torch.triu_indices(len(unit), len(unit), 1)
    cosine, same = (unit[first] * unit[second]).sum(1), identity[first] == identity[second]
    return {
        "same": float(cosine[same].mean()), "different": float(cosine[~same].mean()),
        "auc": float(roc_auc_score(same, cosine)),
    }  # fmt: skip


def memorised(points: Tensor, train: Tensor, people: Tensor) -> float:
    """The share of points (N, d) whose nearest training point (M, d) is nearer to them than to the
    nearest training point of another person.
    """  # noqa: D205
    apart = torch.cdist(train, train)
    apart[people[:, None] == people[None]] = float("inf")
    distance, nearest = torch.cdist(points, train).min(1)
    return float((distance < apart.min(1).values[nearest]).float().mean())


def spreads(faces: Faces) -> tuple[float, float]:
    """Pixel deviations: among the pictures of one identity, and among the identities' means."""
    groups = [faces.pictures[faces.identity == i] for i in faces.identity.unique()]
    inside = torch.stack([g.std(0).mean() for g in groups if len(g) > 1]).mean()
    return float(inside), float(torch.stack([g.mean(0) for g in groups]).std(0).mean())


def about(faces: Faces, train: Faces, frame, judge) -> dict:
    with torch.no_grad():
        judged = batched(lambda x: judge.embed(x, TEMPLATE), faces.pictures)
    inside, between = spreads(faces)
    small = [torch.nn.functional.avg_pool2d(f.pictures, 4).flatten(1) for f in (faces, train)]
    return {
        "pictures": len(faces.identity), "identities": len(faces.identity.unique()),
        "own net, pairs": pairs(frame(faces.vectors), faces.identity),
        "judge, pairs": pairs(judged, faces.identity),
        "nearer to a training picture than that to another person": {
            "own net": memorised(frame(faces.vectors), frame(train.vectors), train.identity),
            "pixels": memorised(*small, train.identity),
        },
        "pixel deviation inside, between": (inside, between),
    }  # fmt: skip


def drawn_from(dataset: SynthesizedSet, faces: Faces, frame) -> dict[str, float]:
    """Pictures against the vectors that they were drawn for, and against other identities'."""
    vectors = torch.from_numpy(np.array(read_identities(dataset.prepared)))
    other = faces.identity[strangers(faces.identity)]
    seen = frame(faces.vectors)
    return {
        "matched": float(cosine_similarity(seen, vectors[faces.identity]).mean()),
        "mismatched": float(cosine_similarity(seen, vectors[other]).mean()),
    }


def sheet(faces: Faces, path: Path, rows: int = 12, columns: int = 10) -> None:
    """One identity a line."""
    picked = [faces.pictures[faces.identity == i][:columns] for i in range(rows)]
    lines = [torch.cat(list(line.clamp(-1, 1)), dim=2) for line in picked]
    levels = ((torch.cat(lines, dim=1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(path)


def rounded(value):
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--set", "--train", "--real"):
        parser.add_argument(name, required=True)
    parser.add_argument("--weights", type=Path, help="none: the shipped ones")
    parser.add_argument("--sheet", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    dataset = SynthesizedSet(Path(asked.set))
    frame = Synthesizer.open(asked.weights, "cpu").method.frame
    embedder, judge = open_embedder("face-api"), open_embedder("pca-lda")
    train, real = read(asked.train, embedder), read(asked.real, embedder)
    synthetic = made(dataset, embedder)
    if asked.sheet:
        sheet(synthetic, asked.sheet)
    found = {
        "pictures against vectors": drawn_from(dataset, synthetic, frame),
        "made": about(synthetic, train, frame, judge),
        "real, never trained on": about(real, train, frame, judge),
        "audit": dataset.audit["findings"],
    }
    print(json.dumps(rounded(found), indent=2))


if __name__ == "__main__":
    main()
