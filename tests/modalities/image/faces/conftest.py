"""Real faces of people whom nothing was trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from masquerade.modalities.image.faces.split import faces_split

# the eyes of these 92 × 112 pictures lie at about y 48, some 36 apart: nearly arcface-112 as is
_SHIFT = (1.0, 0.0, -10.0, 0.0, 1.0, -2.0)


@pytest.fixture(scope="session")
def held_out_faces(shared: Path) -> tuple[torch.Tensor, np.ndarray]:
    """(40, 3, 112, 112) in [-1, 1], five pictures of eight people of AT&T, and their labels."""
    people = [name[4:] for name in faces_split().held_out if name.startswith("att_")][:8]
    folders = [shared / "data" / "faces" / "att" / person for person in people]
    paths = [path for folder in folders for path in sorted(folder.glob("*.pgm"))[:5]]
    how = (Pillow.Transform.AFFINE, _SHIFT, Pillow.Resampling.BILINEAR)
    faces = [Pillow.open(path).convert("RGB").transform((112, 112), *how) for path in paths]
    pixels = torch.from_numpy(np.stack([np.asarray(face) for face in faces]))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1, np.repeat(np.arange(len(people)), 5)
