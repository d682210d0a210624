"""Image teachers: a trunk of this suite and the tower of CLIP, frozen, and what is refused."""

import pytest
import torch

from masquerade.core.clip_visual import ClipVisual, class_attention
from masquerade.core.errors import WeightsError
from masquerade.core.layers import Attention
from masquerade.core.tokens import Batch
from masquerade.core.weights import save_method, save_module
from masquerade.methods.image.mae import MAE
from masquerade.modalities.image.teacher import open_teacher

MAE_SMALL = {
    "image_size": 16, "patch_size": 4, "dim": 16, "depth": 2, "heads": 2,
    "decoder_dim": 8, "decoder_depth": 1, "decoder_heads": 2,
}  # fmt: skip


def test_class_attention_is_the_first_row_of_the_softmax():
    torch.manual_seed(0)
    layer, x = Attention(8, 2), torch.randn(3, 5, 8)
    q, k, _ = layer.qkv(x).chunk(3, dim=-1)
    rows = []
    for head in (slice(0, 4), slice(4, 8)):
        logits = q[:, 0, None, head] @ k[..., head].transpose(1, 2) / 2  # √4
        rows.append(logits.softmax(-1)[:, 0])
    torch.testing.assert_close(class_attention(layer, x), (sum(rows) / 2)[:, 1:])


def test_a_masked_autoencoder_teaches_with_its_trunk(tmp_path):
    torch.manual_seed(0)
    model = MAE(MAE.Config(**MAE_SMALL)).eval()
    save_method(model, tmp_path / "mae.safetensors")
    teacher = open_teacher(str(tmp_path / "mae.safetensors"))
    assert (teacher.width, teacher.side) == (16, 16)
    images = torch.randn(2, 3, 16, 16)
    features, attention = teacher.read(images)
    tokens = model.tokenize(Batch({"image": images}, ids=torch.arange(2)))
    latents = model.encoder.encode(tokens)[:, 1:]
    torch.testing.assert_close(features.flatten(2).transpose(1, 2), latents)
    assert attention.shape == (2, 1, 4, 4)
    assert ((attention.sum((1, 2, 3)) > 0) & (attention.sum((1, 2, 3)) < 1)).all()
    assert not features.requires_grad


def test_the_random_teacher_is_always_the_same_and_says_so(caplog):
    images = torch.randn(1, 3, 224, 224)
    state = torch.random.get_rng_state()
    first, second = open_teacher("random").read(images), open_teacher("random").read(images)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert "random" in caplog.text


def test_weights_without_an_image_trunk_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="no weights at"):
        open_teacher(str(tmp_path / "absent.safetensors"))
    net = torch.nn.Linear(2, 2)
    save_module(net, tmp_path / "a.safetensors", method="other", container="net", config={})
    with pytest.raises(WeightsError, match="no image trunk"):
        open_teacher(str(tmp_path / "a.safetensors"))
    config = ClipVisual.Config(image_size=32, dim=8, depth=1, heads=2, out_dim=4)
    torch.manual_seed(0)
    tower = ClipVisual(config)
    state = {k: v for k, v in tower.state_dict().items() if k != "projection"}
    save_module(
        tower, tmp_path / "b.safetensors", method="clip-visual", container="net",
        config=config.to_dict(), state=state,
    )  # fmt: skip
    with pytest.raises(WeightsError, match="differ in 'projection'"):
        open_teacher(str(tmp_path / "b.safetensors"))
