"""MAE against the official code's vectors, through `weights import`."""

import json
import sys
from pathlib import Path

import pytest
import torch

from masquerade.core.classifier import ViTClassifier
from masquerade.core.encoders import pool
from masquerade.core.keymap import official_name, to_official
from masquerade.core.objectives import patch_mse
from masquerade.core.positions import interpolate_grid
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch, Tokens
from masquerade.core.training.lars import Lars
from masquerade.core.training.optim import layer_scale_groups
from masquerade.core.training.schedule import lr_at
from masquerade.core.weights import read_weights
from masquerade.methods.image.mae import MAE
from masquerade.methods.weights import export_official, import_official, load_method
from masquerade.modalities.image.patches import patchify, unpatchify

sys.path.insert(0, str(Path(__file__).parent))
from vectors import Compared, Golden, golden_files, read_golden, write_container  # noqa: E402

PATHS = golden_files("mae")


def pretrain_weights(golden: Golden) -> dict:
    return {k: v for k, v in golden.group("weight").items() if not k.startswith("vit_")}


def classifier_weights(golden: Golden, name: str) -> dict:
    """The shared encoder with the head (and fc_norm) of a fine-tuned model."""
    encoder = {
        k: v
        for k, v in pretrain_weights(golden).items()
        if not k.startswith(("decoder_", "mask_token"))
    }
    if "fc_norm.weight" in golden.group(f"weight/{name}"):
        encoder = {k: v for k, v in encoder.items() if not k.startswith("norm.")}
    return encoder | golden.group(f"weight/{name}")


def heads(golden: Golden) -> dict:
    config = golden.config
    return {
        "heads": config["num_heads"],
        "decoder_heads": config["decoder_num_heads"],
        "norm_pix": config["norm_pix_loss"],
        "masking": {"kind": "random", "ratio": config["mask_ratio"]},
    }


def batch_of(golden: Golden) -> Batch:
    images = golden.tensor("input/imgs")
    return Batch({"image": images}, ids=torch.arange(len(images)))


@pytest.mark.parametrize("path", PATHS)
def test_mae_equals_official_code(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    container = write_container(pretrain_weights(golden), tmp_path / "official.pth")
    imported = import_official("mae", container, overrides=heads(golden))
    imported.save(tmp_path / "mae.safetensors")
    model = load_method(tmp_path / "mae.safetensors", expect="mae")
    assert isinstance(model, MAE)
    check_pretraining(golden, compared, model)
    check_classifiers(golden, compared, tmp_path)
    check_optimisation(golden, compared)
    compared.finish()


def check_pretraining(golden: Golden, compared: Compared, model: MAE) -> None:
    batch = batch_of(golden)
    mask = model.config.masking.from_noise(golden.tensor("input/noise"))
    compared.check("mask", mask.as_bool().float(), atol=0)
    order = torch.cat([mask.visible, mask.hidden], dim=1)
    compared.check("ids_restore", torch.argsort(order, dim=1), atol=0)
    tokens = model.tokenize(batch)
    compared.check("patchify", tokens.values, atol=0)
    compared.check("latent", model.encoder.encode(tokens, mask))

    everything = model(batch, None, StepContext(), mask=mask.predicting_all())
    compared.check("pred", everything.prediction)
    compared.check("unpatchify_pred", unpatchify(everything.prediction, model.config.grid))
    raw = patch_mse(everything.prediction, tokens.values, everything.mask, normalize=False)
    compared.check("loss_raw", raw, rtol=1e-5)

    hidden_only = model(batch, None, StepContext(), mask=mask)
    torch.testing.assert_close(everything.loss, hidden_only.loss, rtol=1e-6, atol=0)
    normalized = patch_mse(hidden_only.prediction, tokens.values, mask, normalize=True)
    compared.check("loss_norm_pix", normalized, rtol=1e-5)
    normalized.backward()
    gradients = to_official(
        {k: p.grad for k, p in model.named_parameters() if p.grad is not None}, MAE.KEYMAP
    )
    for name in golden.group("output/grad_norm"):
        compared.check(f"grad_norm/{name}", gradients[name].norm(), rtol=1e-3, atol=1e-6)
    for name in golden.group("output/grad"):
        compared.check(f"grad/{name}", gradients[name], rtol=1e-3, atol=1e-6)


def check_classifiers(golden: Golden, compared: Compared, folder: Path) -> None:
    for name, pooling in (("vit_gap", "mean"), ("vit_cls", "cls")):
        container = write_container(classifier_weights(golden, name), folder / f"{name}.pth")
        imported = import_official("mae", container, overrides={"heads": heads(golden)["heads"]})
        model = imported.module
        assert isinstance(model, ViTClassifier)
        assert model.pooling == pooling
        patches = patchify(golden.tensor("input/imgs"), golden.config["patch_size"])
        side = golden.config["img_size"] // golden.config["patch_size"]
        tokens = Tokens(patches, grid=(side, side))
        compared.check(f"{name}/features", model.features(tokens))
        compared.check(f"{name}/logits", model(tokens))
        wanted = golden.arrays.get(f"output/{name}/lr_scale_json")
        if wanted is not None:
            check_groups(model, golden, json.loads(str(wanted)))
            compared.done.add(f"{name}/lr_scale_json")


def check_groups(model: ViTClassifier, golden: Golden, wanted: dict) -> None:
    groups = layer_scale_groups(
        model.named_parameters(),
        layer_decay=golden.config["layer_decay"],
        weight_decay=golden.config["weight_decay"],
        layer_id=model.layer_id,
        no_decay=model.no_decay,
    )
    ours = {n: (g["lr_scale"], g["weight_decay"]) for g in groups for n in g["names"]}
    official = {official_name(name, MAE.KEYMAP): value for name, value in ours.items()}
    assert official.keys() == wanted.keys()
    for name, (scale, decay) in wanted.items():
        assert official[name] == pytest.approx((scale, decay), rel=1e-6), name


def check_optimisation(golden: Golden, compared: Compared) -> None:
    schedule = golden.config["lr_schedule"]
    rates = [
        lr_at(
            epoch,
            lr=schedule["lr"],
            min_lr=schedule["min_lr"],
            warmup_epochs=schedule["warmup_epochs"],
            epochs=schedule["epochs"],
        )
        for epoch in golden.arrays["input/lr_epochs"].tolist()
    ]
    compared.check("lr_schedule", rates, rtol=1e-9, atol=0)

    table = golden.tensor("input/pos_embed_for_interpolation")
    old = round((table.shape[1] - 1) ** 0.5)
    new = golden.config["pos_embed_interpolated_to"]
    compared.check("pos_embed_interpolated", interpolate_grid(table, (old, old), (new, new)))

    weight = torch.nn.Parameter(golden.tensor("input/lars/w0").clone())
    bias = torch.nn.Parameter(golden.tensor("input/lars/b0").clone())
    settings = golden.config["lars"]
    optimizer = Lars(
        [weight, bias],
        lr=settings["lr"],
        weight_decay=settings["weight_decay"],
        momentum=settings["momentum"],
        trust=settings["trust_coefficient"],
    )
    steps = []
    for gradient in golden.tensor("input/lars/grads"):
        weight.grad, bias.grad = (
            gradient[: weight.numel()].view_as(weight).clone(),
            gradient[weight.numel() :].clone(),
        )
        optimizer.step()
        steps.append(torch.cat([weight.detach().flatten(), bias.detach()]))
    compared.check("lars/params_after_each_step", torch.stack(steps), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("which", ["pretrain", "encoder", "vit_gap", "vit_cls"])
def test_export_gives_the_official_file_back(path: Path, which: str, tmp_path: Path) -> None:
    golden = read_golden(path)
    state = pretrain_weights(golden)
    if which == "encoder":
        state = {k: v for k, v in state.items() if not k.startswith(("decoder_", "mask_token"))}
    elif which != "pretrain":
        state = classifier_weights(golden, which)
    official = write_container(state, tmp_path / "official.pth")
    given = heads(golden)
    if which != "pretrain":
        given.pop("decoder_heads")
    imported = import_official("mae", official, overrides=given)
    imported.save(tmp_path / "ours.safetensors")
    export_official(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    back = read_weights(tmp_path / "back.pth").state
    assert back.keys() == state.keys()
    assert all((back[k].numpy() == state[k]).all() for k in state)


def test_pooling_takes_the_class_token_or_the_mean() -> None:
    latents = torch.tensor([[[9.0], [1.0], [3.0]]])
    assert pool(latents, "cls").item() == 9
    assert pool(latents, "mean").item() == 2
