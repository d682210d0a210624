"""Fit the shipped PCA+LDA judge again, and print how well it and face-api tell people apart.

    masquerade data prepare faces FACES --out FOLDER --template arcface-112
    python tests/performance/fit_face_judge.py FOLDER [--out FILE.safetensors]

FOLDER holds one folder per identity, called SOURCE_PERSON as in recipes/faces-split.toml. The
settings were chosen with --choose, which fits on the train identities without the validation part
and scores that part; the shipped file is fitted on all train identities. AUC: over all pairs of
pictures, over those within one source, and over those within LFW (the others are easy).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from masquerade.modalities.image.faces.aligned import AlignedFaces, open_aligned
from masquerade.modalities.image.faces.embedders import Embedder, open_embedder
from masquerade.modalities.image.faces.judge import WEIGHTS, fit_judge
from masquerade.modalities.image.faces.split import faces_split, split_identities

BATCH = 64


def rows_of(faces: AlignedFaces, identities: set[str]) -> np.ndarray:
    """The pictures of some identities."""
    names = np.array(faces.source.classes)[faces.source.labels]
    return np.flatnonzero(np.isin(names, sorted(identities)))


def vectors(net: Embedder, faces: AlignedFaces, rows: np.ndarray) -> np.ndarray:
    """(N, D) float32 embeddings."""
    parts = np.array_split(rows, max(1, len(rows) // BATCH))
    with torch.inference_mode():
        found = [net.embed(faces.tensor(part), faces.template.name) for part in parts]
    return torch.cat(found).numpy()


def aucs(found: np.ndarray, names: np.ndarray) -> tuple[float, float, float]:
    """AUC of the cosine over all pairs, those within a source, those within LFW."""
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    upper = np.triu_indices(len(unit), 1)
    cosine = (unit @ unit.T)[upper]
    source = np.array([name.split("_")[0] for name in names])
    same, near = ((v[:, None] == v[None])[upper] for v in (names, source))
    lfw = near & np.char.startswith(source, "lfw")[upper[0]]
    return tuple(float(roc_auc_score(same[k], cosine[k])) for k in (slice(None), near, lfw))


def report(title: str, faces: AlignedFaces, train: np.ndarray, rows: np.ndarray, judge: Embedder):
    """Print the AUCs of the judge and of face-api (minus the mean of the train vectors)."""
    names = np.array(faces.source.classes)[faces.source.labels[rows]]
    net = open_embedder("face-api")
    centred = vectors(net, faces, rows) - vectors(
        net, faces, train[:: max(1, len(train) // 300)]
    ).mean(0)
    for name, found in ((judge.name, vectors(judge, faces, rows)), (net.name, centred)):
        print(f"{title} ({len(rows)} pictures) {name}: AUC all %.4f, in a source %.4f, LFW %.4f"
              % aucs(found, names))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--choose", action="store_true", help="score the validation part instead")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    faces = open_aligned(asked.folder)
    train, held_out = (set(part) for part in split_identities(faces.source.classes))
    seen = train - set(faces_split().validation) if asked.choose else train
    scored = train - seen if asked.choose else held_out
    rows = rows_of(faces, seen)
    judge = fit_judge(
        faces.tensor(rows), faces.source.labels[rows], training_data=("faces-split:train",)
    )
    print(f"fitted on {len(rows)} pictures of {len(seen)} identities, {judge.width} wide")
    if not asked.choose:
        judge.save(asked.out)
        print(f"{asked.out}: {asked.out.stat().st_size} bytes, hash {judge.hash}")
    report("validation" if asked.choose else "held out", faces, rows, rows_of(faces, scored), judge)


if __name__ == "__main__":
    main()
