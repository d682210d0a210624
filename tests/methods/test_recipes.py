"""Recipes: precedence, sources, the published numbers, and one sentence per mistake."""

import subprocess
import sys

import pytest

from masquerade.core.config import build, flatten, tomllib
from masquerade.core.errors import UsageError
from masquerade.methods import recipes
from masquerade.methods.recipes import about, finetune, names, resolve

ENCODER_M = {"mae": 85.8, "mae-vit-l": 303.3, "mae-vit-h": 630.8}  # the paper's, without head


def test_defaults_then_recipe_then_override_with_sources():
    found = resolve("mae", "mae-tiny", ["optim.lr=2e-3", "optim.lr=1e-3"])
    settings, sources = found.settings, found.sources
    assert (settings.optim.lr, sources["optim.lr"]) == (1e-3, "--set")
    assert (settings.train.steps, sources["train.steps"]) == (400, "recipe mae-tiny")
    assert (settings.optim.betas, sources["optim.betas"]) == ((0.9, 0.95), "recipe mae")
    assert (settings.train.seed, sources["train.seed"]) == (0, "default")
    assert (settings.data.size, sources["data.size"]) == (32, "follows method")
    assert sources.keys() == flatten(settings.to_dict()).keys()


def test_image_size_of_the_method_reaches_the_data():
    assert resolve("mae", None, ["method.image_size=448"]).settings.data.size == 448
    asked = resolve("mae", None, ["method.image_size=448", "data.size=320"])
    assert (asked.settings.data.size, asked.sources["data.size"]) == (320, "--set")


def test_none_unsets_what_a_recipe_sets():
    optim = resolve("mae", "mae-tiny", ["optim.lr=none", "train.batch_size=512"]).settings.optim
    assert optim.learning_rate(512) == pytest.approx(3e-4)


def test_changed_kind_of_masking_drops_the_former_kinds_settings():
    masking = resolve("mae", None, ["method.masking={kind='grid'}"]).settings.method.masking
    assert masking.kind == "grid"


def test_published_pretraining_of_the_card():
    settings = resolve("mae").settings
    assert settings.optim.learning_rate(settings.train.batch_size) == pytest.approx(2.4e-3)
    assert (settings.optim.weight_decay, settings.optim.warmup_epochs) == (0.05, 40)
    assert (settings.optim.betas, settings.optim.min_lr) == ((0.9, 0.95), 0)
    assert settings.optim.clip_norm is None
    assert (settings.method.masking.ratio, settings.method.norm_pix) == (0.75, True)
    assert settings.data.train_crop_scale == (0.2, 1.0)
    assert settings.method.pooling == "mean"


@pytest.mark.parametrize(("recipe", "millions"), ENCODER_M.items())
def test_encoder_sizes_are_those_of_the_paper(recipe, millions):
    import torch

    from masquerade.methods.registry import method

    with torch.device("meta"):
        encoder = method("mae")(resolve("mae", recipe).settings.method, decoder=False)
    # the state, that is with the position table, which the official code counts as a parameter
    count = sum(value.numel() for value in encoder.state_dict().values())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    ("recipe", "row"),
    [
        (None, (100, 5e-4, 0.65, 0.1)),
        ("mae-vit-l", (50, 1e-3, 0.75, 0.2)),
        ("mae-vit-h", (50, 1e-3, 0.75, 0.3)),
    ],
)
def test_published_finetuning_of_the_card(recipe, row):
    table = finetune("mae", recipe)
    assert tuple(table[k] for k in ("epochs", "blr", "layer_decay", "drop_path")) == row
    shared = {
        "batch_size": 1024, "weight_decay": 0.05, "warmup_epochs": 5, "min_lr": 1e-6,
        "label_smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0, "random_erasing": 0.25,
    }  # fmt: skip
    assert {k: table[k] for k in shared} == shared
    assert table["betas"] == [0.9, 0.999]


@pytest.mark.parametrize("name", names())
def test_every_shipped_recipe_resolves_and_says_its_command(name):
    text = (recipes.FOLDER / f"{name}.toml").read_text()
    slug = about(name)["slug"]
    assert resolve(slug, name).settings.train.batch_size > 0
    header = text.split("\n\n")[0]
    assert f"pretrain {slug} " in header.replace("\\\n#", "")
    assert "Reaches" in header


def test_about_imports_no_torch():
    code = (
        "import sys\nfrom masquerade.methods.recipes import about, names\n"
        "print(about('mae')['year'], about('unheard-of'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2022 {} False\n"


@pytest.mark.parametrize(
    ("recipe", "override", "message"),
    [
        (None, "optim.lrr=1", r"unknown setting 'optim\.lrr'; did you mean 'optim\.lr'\?"),
        (None, "optm.lr=1", r"unknown setting 'optm\.lr'; did you mean 'optim'\?"),
        (None, "method.masking.rato=0.5", r"did you mean 'method\.masking\.ratio'\?"),
        (None, "optim=3", "names a whole section"),
        (None, "optim.lr", "is no setting"),
        (None, "method.masking.ratio=1.0", r"'method\.masking\.ratio': .* less than 1, got 1\.0"),
        (None, "method.masking.ratio=-1", r"greater than or equal to 0, got -1"),
        (None, "method.patch_size=15", "image_size 224 is no multiple of patch_size 15"),
        ("mae-tny", "optim.lr=1", r"unknown recipe 'mae-tny'; did you mean 'mae-tiny'\?"),
        ("absent.toml", "optim.lr=1", r"no recipe file absent\.toml"),
    ],
)
def test_mistake_is_one_sentence(recipe, override, message):
    with pytest.raises(UsageError, match=message) as caught:
        resolve("mae", recipe, [override])
    assert "\n" not in str(caught.value)


def test_own_recipe_file_extends_a_shipped_one(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "mae-tiny"\n[train]\nsteps = 7\n')
    found = resolve("mae", str(mine))
    assert (found.settings.train.steps, found.settings.method.dim) == (7, 96)
    assert found.sources["train.steps"] == "recipe mine"
    assert found.sources["method.dim"] == "recipe mae-tiny"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optm]\nlr = 1\n", r"unknown table 'optm'; did you mean 'optim'\?"),
        ("optim = 3\n", "'optim' is no table"),
        ("[[[", "is no TOML"),
        ('[about]\nslug = "simmim"\n', "is of the method 'simmim', not of 'mae'"),
        ('extends = "{self}"\n', "extends itself"),
    ],
)
def test_broken_recipe_file_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "broken.toml"
    path.write_text(text.replace("{self}", str(path)))
    with pytest.raises(UsageError, match=message):
        resolve("mae", str(path))


def test_resolved_settings_round_trip_through_toml():
    import tomli_w

    settings = resolve("mae", "mae-tiny").settings
    for section, values in settings.to_dict().items():
        kept = {k: v for k, v in values.items() if v is not None}
        again = tomllib.loads(tomli_w.dumps(kept))
        assert build(type(getattr(settings, section)), again) == getattr(settings, section)
