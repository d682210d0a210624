"""GraphMAE against the official code's vectors, through `weights import`."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from masquerade.core.graphs.batch import GraphBatch, union
from masquerade.core.graphs.csr import Csr
from masquerade.core.graphs.molecule import BOND_DIRECTIONS, BOND_TYPES, SELF_LOOP
from masquerade.core.keymap import to_official
from masquerade.core.masking import Corruption, Mask
from masquerade.core.objectives import scaled_cosine_error
from masquerade.core.weights import read_weights
from masquerade.methods.graph.graphmae import GraphMAE
from masquerade.methods.weights import export_official, import_official, load_method

sys.path.insert(0, str(Path(__file__).parent))
from vectors import Compared, Golden, golden_files, read_golden, write_container  # noqa: E402

PATHS = golden_files("graphmae")
NORMS = {None: "none", "layernorm": "layer", "batchnorm": "batch"}
STEPS = {"lr": 1e-3, "weight_decay": 2e-4}


def official_weights(golden: Golden, case: str) -> dict[str, Any]:
    """The official state of a case; the molecules' two parts side by side."""
    state = golden.group(f"weight/{case}")
    return {name.replace("/", "."): value for name, value in state.items()}


def settings(case: dict[str, Any]) -> dict[str, Any]:
    """What the weights do not show."""
    return {
        "feat_drop": case["feat_drop"], "attn_drop": case["attn_drop"],
        "slope": case["negative_slope"], "objective": case["loss_fn"], "gamma": case["alpha_l"],
        "masking": {"kind": "node", "rate": case["mask_rate"], "replace": case["replace_rate"]},
    }  # fmt: skip


def imported(golden: Golden, case: str, given: dict[str, Any], folder: Path) -> GraphMAE:
    """The model of a case, by way of an official file and one of ours."""
    official = write_container(official_weights(golden, case), folder / "official.pth")
    import_official("graphmae", official, overrides=given).save(folder / "ours.safetensors")
    model = load_method(folder / "ours.safetensors", expect="graphmae")
    assert isinstance(model, GraphMAE)
    return model


def graph_of(golden: Golden, case: str) -> GraphBatch:
    source, target = (golden.tensor(f"input/{case}/edge_{end}") for end in ("src", "dst"))
    x = golden.tensor(f"input/{case}/x")
    edges = Csr.from_pairs(target, source, (len(x), len(x)))
    return GraphBatch(union([{"x": x, **edges.tensors("edges/")}]), ids=torch.arange(1))


def masks_of(golden: Golden, case: str, prefix: str = "") -> list[tuple[Mask, Corruption]]:
    """The given mask, or with the prefix "train_" those of the steps."""
    named = [
        golden.tensor(f"input/{case}/{prefix}{name}")
        for name in ("mask_nodes", "token_nodes", "noise_nodes", "noise_source")
    ]
    found = []
    for hidden, token, noise, source in zip(
        *(value if prefix else value[None] for value in named), strict=True
    ):
        n = len(golden.arrays[f"input/{case}/x"])
        visible = torch.tensor(sorted(set(range(n)) - set(hidden.tolist())))
        found.append((Mask(visible[None], hidden[None]), Corruption(token, noise, source)))
    return found


def loss_of(
    model: GraphMAE, graph: GraphBatch, mask: Mask, corruption: Corruption
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, codes after the re-mask, prediction at the hidden nodes)."""
    codes = model.codes(graph, mask, model.encode(graph, corruption, graph.edges))
    prediction = model.decode(graph, mask, codes)
    return model.loss(graph, mask, prediction), codes, prediction


FEATURE_CASES = ["gat", "gat_ln_res", "gin_bn", "gcn_mse", "gat_concat_mlp"]


@pytest.mark.parametrize("path", PATHS)
def test_graphmae_equals_official_code(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    assert set(golden.config["cases"]) == {*FEATURE_CASES, "chem"}
    for case in FEATURE_CASES:
        check_case(golden, compared, case, tmp_path)
    check_molecules(golden, compared, tmp_path)
    x, y = golden.tensor("input/sce/x")[None], golden.tensor("input/sce/y")[None]
    everything = Mask(torch.empty(1, 0, dtype=torch.int64), torch.arange(x.shape[1])[None])
    for gamma in (1, 2, 3):
        loss = scaled_cosine_error(x, y, everything, gamma=gamma)
        compared.check(f"sce/alpha{gamma}", loss, rtol=1e-5)
    compared.finish()


def check_case(golden: Golden, compared: Compared, case: str, folder: Path) -> None:
    config = golden.config["cases"][case]
    model = imported(golden, case, settings(config), folder).eval()
    assert model.config.encoder == config["encoder_type"]
    assert model.config.decoder == config["decoder_type"]
    assert (model.config.dim, model.config.depth) == (config["num_hidden"], config["num_layers"])
    assert model.config.norm == NORMS[config["norm"]]
    assert model.config.residual == config["residual"]
    graph = graph_of(golden, case)
    compared.check(f"{case}/embed_eval", model.node_features(graph))
    for number, hidden in enumerate(model.encoder.layers_of(graph["x"], graph.edges)):
        compared.check(f"{case}/hidden_eval_{number}", hidden)

    ((mask, corruption),) = masks_of(golden, case)
    seen = model._table(graph, corruption)
    torch.testing.assert_close(seen, golden.tensor(f"input/{case}/x_masked"), rtol=0, atol=0)
    loss, codes, prediction = loss_of(model, graph, mask, corruption)
    compared.check(f"{case}/rep_after_remask", codes)
    compared.check(f"{case}/loss_eval", loss, rtol=1e-5)
    everywhere = model.decode(graph, mask.predicting_all(), codes)[0]
    compared.check(f"{case}/recon", everywhere)
    torch.testing.assert_close(prediction[0], everywhere[mask.hidden[0]])
    check_training(golden, compared, case, folder)


def check_training(golden: Golden, compared: Compared, case: str, folder: Path) -> None:
    """Three steps of Adam with coupled weight decay, without dropout."""
    still = {**settings(golden.config["cases"][case]), "feat_drop": 0.0, "attn_drop": 0.0}
    model = imported(golden, case, still, folder).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    graph, losses = graph_of(golden, case), []
    optimizer = torch.optim.Adam(model.parameters(), **STEPS)
    for number, (mask, corruption) in enumerate(masks_of(golden, case, "train_")):
        optimizer.zero_grad()
        loss = loss_of(model, graph, mask, corruption)[0]
        loss.backward()
        losses.append(loss.item())
        if number == 0:
            ours = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
            gradients = to_official(ours, GraphMAE.KEYMAP)
            wanted = golden.group(f"output/{case}/grad0")
            assert wanted.keys() <= gradients.keys()  # one case has not all of them
            for name in wanted:
                compared.check(f"{case}/grad0/{name}", gradients[name], rtol=1e-4, atol=1e-5)
        optimizer.step()
    compared.check(f"{case}/train_losses", torch.tensor(losses).double(), rtol=0, atol=1e-4)
    first = golden.arrays[f"output/{case}/train_losses"][:2]
    torch.testing.assert_close(losses[:2], first.tolist(), rtol=0, atol=1e-5)


def molecules_of(golden: Golden) -> GraphBatch:
    """The molecules of the file, their bonds counted as the adapter does."""
    x, edges = golden.tensor("input/chem/x"), golden.tensor("input/chem/edge_index")
    n, kinds = len(x), golden.tensor("input/chem/edge_attr")
    loops = torch.arange(n)
    pattern = Csr.from_pairs(
        torch.cat([edges[1], loops]), torch.cat([edges[0], loops]), (n, n)
    )  # fmt: skip
    bonds = torch.zeros(n, BOND_TYPES + BOND_DIRECTIONS)
    for number, (bond, direction) in enumerate(kinds.tolist()):
        bonds[edges[1, number], bond] += 1
        bonds[edges[1, number], BOND_TYPES + direction] += 1
    bonds[:, [SELF_LOOP, BOND_TYPES]] += 1
    inputs = union([{"x": x, "bonds": bonds, **pattern.tensors("edges/")}])
    return GraphBatch(inputs, ids=torch.arange(1))


def check_molecules(golden: Golden, compared: Compared, folder: Path) -> None:
    config = golden.config["cases"]["chem"]
    model = imported(golden, "chem", {"feat_drop": 0.0, "gamma": config["alpha"]}, folder)
    assert (model.config.dim, model.config.depth) == (config["emb_dim"], config["num_layer"])
    graph, hidden = molecules_of(golden), golden.tensor("input/chem/masked_atoms")
    compared.check("chem/node_rep_eval_unmasked", model.eval().node_features(graph))
    visible = torch.tensor(sorted(set(range(graph.n_nodes)) - set(hidden.tolist())))
    mask, corruption = Mask(visible[None], hidden[None]), Corruption(hidden, hidden[:0], hidden[:0])
    model.train()
    encoded = model.encode(graph, corruption, graph.edges)
    compared.check("chem/node_rep_train", encoded)
    codes = model.codes(graph, mask, encoded)
    compared.check("chem/pred", model.decode(graph, mask.predicting_all(), codes)[0])
    loss = model.loss(graph, mask, model.decode(graph, mask, codes))
    compared.check("chem/loss", loss, rtol=1e-5)
    loss.backward()
    of = {
        "x_embedding1.weight": model.encoder.atom_type.weight,
        "gnns.0.mlp.0.weight": model.encoder.layers[0].mlp[0].weight,
        "decoder.enc_to_dec.weight": model.encoder_to_decoder.weight,
    }
    for name, parameter in of.items():
        compared.check(f"chem/grad/{name}", parameter.grad, rtol=1e-4, atol=1e-5)
    wanted = golden.tensor("input/chem/label")
    torch.testing.assert_close(model.targets(graph)[hidden], wanted)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", [*FEATURE_CASES, "chem"])
def test_export_gives_the_official_file_back(path: Path, case: str, tmp_path: Path) -> None:
    golden = read_golden(path)
    state = official_weights(golden, case)
    if case == "chem":  # the one published file: the encoder, bare
        state = {
            name.removeprefix("encoder."): value
            for name, value in state.items()
            if name.startswith("encoder.")
        }
    official = write_container(state, tmp_path / "official.pth")
    import_official("graphmae", official).save(tmp_path / "ours.safetensors")
    export_official(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    back = read_weights(tmp_path / "back.pth").state
    assert back.keys() == state.keys()
    assert all((back[k].numpy() == state[k]).all() for k in state)
