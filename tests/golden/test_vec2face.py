"""Vec2Face against the official code's vectors: network, losses, discriminator, gradients."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from masquerade.core.keymap import to_official
from masquerade.core.masking import RowDropMasker, RowMask
from masquerade.generators.vec2face.keymap import KEYMAP, wrap
from masquerade.generators.vec2face.losses import (
    LossWeights,
    adversary_is_on,
    discriminator_loss,
    generator_loss,
    judged,
)
from masquerade.methods.weights import export_official

sys.path.insert(0, str(Path(__file__).parent))
from vec2face_case import (  # noqa: E402
    build_parts,
    generator_files,
    import_golden,
    official_weights,
    pooled_difference,
    pooled_linear,
)
from vectors import Compared, Golden, read_golden  # noqa: E402

PATHS = generator_files()
EPOCHS = {"before": 10, "after": 90}  # the file's notes
DISC_START = 80
TOKENS = {"rtol": 0, "atol": 2e-5}  # card section 11
IMAGES = {"rtol": 0, "atol": 1e-4}
SCALARS = {"rtol": 1e-4, "atol": 0}
TOLERANCE = {
    "target_map": TOKENS, "encoder_latent": TOKENS, "decoder_logits": TOKENS, "decoder_map": TOKENS,
    "drop_mask": {"rtol": 0, "atol": 0}, "all_mask": {"rtol": 0, "atol": 0}, "image": IMAGES,
    "disc_logits_fake": IMAGES, "disc_logits_real": IMAGES,
}  # fmt: skip
# compared in test_vec2face_sampling.py: what moves vectors, not what the network makes of them
SAMPLING = ("attrop_", "perturb_", "separability_")


def mask_of(golden: Golden) -> RowMask:
    masker = RowDropMasker(r_min=golden.config["rmin"])
    rate = float(golden.arrays["input/mask_rate"])
    return masker.from_noise(golden.tensor("input/mask_noise"), rate)


def with_first(hidden: Tensor) -> Tensor:
    """The official masks have a place for e, which is never hidden."""
    return torch.cat([torch.zeros(len(hidden), 1), hidden.float()], dim=1)


def network_outputs(golden: Golden, parts: nn.ModuleDict) -> dict[str, Tensor]:
    net, vectors, mask = parts["net"], golden.tensor("input/rep"), mask_of(golden)
    token, rows = net.expand_vectors(vectors)
    made = net(vectors, mask)
    return {
        "target_map": made.target,
        "drop_mask": with_first(mask.drop_bool),
        "all_mask": with_first(mask.mask_bool),
        "encoder_latent": net.encode(token, rows, mask),
        "decoder_logits": made.logits,
        "decoder_map": net.map_of(made.logits),
        "image": made.image,
    }


def losses(golden: Golden, parts: nn.ModuleDict, when: str) -> tuple[Tensor, dict, Tensor]:
    """(generator's loss, its terms, discriminator's loss) in an epoch before or after the start.

    The discriminator gets the generator's gradient too, as in the official code; that it does not
    otherwise is tested with the losses.
    """
    on = adversary_is_on(EPOCHS[when], DISC_START)
    dtype = next(parts.parameters()).dtype
    vectors, pictures = golden.tensor("input/rep"), golden.tensor("input/gt_image").float()
    made = parts["net"](vectors.to(dtype), mask_of(golden))
    discriminator = parts["discriminator"]

    def judge(images: Tensor) -> Tensor:
        return judged(discriminator, images.to(dtype), official_adversary_gradient=True)

    total, terms = generator_loss(
        made, pictures, vectors,
        features=pooled_linear(golden, "fr", 8), perceptual=pooled_difference,
        weights=LossWeights(), judge=judge if on else None,
    )  # fmt: skip
    against = torch.zeros(())
    if on:
        real, fake = (discriminator(x.to(dtype)) for x in (pictures, made.image.detach()))
        against = discriminator_loss(real, fake)
    return total, terms, against


def loss_outputs(golden: Golden, parts: nn.ModuleDict) -> dict[str, Tensor]:
    found = {}
    for when in EPOCHS:
        total, terms, against = losses(golden, parts, when)
        named = {"ae": total, "d": against, **terms, "perc": 2 * terms["lpips"]}
        found |= {f"loss_{when}_{name}": value for name, value in named.items()}
    return found


def gradient_outputs(golden: Golden, parts: nn.ModuleDict) -> dict[str, Tensor]:
    """What the generator's loss leaves in generator and discriminator, computed in float64.

    In float32 a value within rounding of a leaky ReLU's kink falls on either side, by which these
    gradients change in their third digit.
    """
    exact = copy.deepcopy(parts).double()
    losses(golden, exact, "after")[0].backward()
    ours = {k: p.grad for k, p in exact.named_parameters() if p.grad is not None}
    named = to_official(ours, KEYMAP)
    return {f"grad_{k}": v for k, v in named.items()} | {
        "disc_grad_from_generator_to_logits_bias": named["disc.to_logits.2.bias"]
    }


@pytest.mark.parametrize("path", PATHS)
def test_vec2face_equals_official_code(path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    parts = build_parts(golden)
    found = network_outputs(golden, parts)
    if "discriminator" in parts:
        real = golden.tensor("input/gt_image").float()
        found["disc_logits_fake"] = parts["discriminator"](found["image"])
        found["disc_logits_real"] = parts["discriminator"](real)
        found |= loss_outputs(golden, parts) | gradient_outputs(golden, parts)
    for name in golden.group("output"):
        if name.startswith(SAMPLING):
            compared.done.add(name)
        elif name in TOLERANCE or name.startswith("loss_"):
            compared.check(name, found[name], **TOLERANCE.get(name, SCALARS))
        elif "grad_" in name:
            size = float(np.abs(golden.arrays[f"output/{name}"]).max())
            compared.check(name, found[name], rtol=1e-4, atol=1e-4 * size)
    compared.finish()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("part", ["as it is", "with unused keys", "generator alone"])
def test_export_gives_the_official_file_back(path: Path, part: str, tmp_path: Path) -> None:
    golden = read_golden(path)
    weights, dim = official_weights(golden), golden.config["embed_dim"]
    if part == "with unused keys":
        shapes = {
            "patch_embed.proj.weight": (dim, 3, 16, 16), "patch_embed.proj.bias": (dim,),
            "center_token.weight": (49, dim), "center_token.bias": (49,),
        }  # fmt: skip
        numbers = np.random.default_rng(0)
        weights |= {k: numbers.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    if part == "generator alone":
        weights = {k: v for k, v in weights.items() if not k.startswith("disc.")}
    given = Golden(path, golden.config, {f"weight/{k}": v for k, v in weights.items()})
    export_official(import_golden(given, tmp_path), tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    wanted = wrap(weights)
    assert {k: set(v) for k, v in back.items()} == {k: set(v) for k, v in wanted.items()}
    for entry, values in wanted.items():
        assert all((back[entry][k].numpy() == v).all() for k, v in values.items())
