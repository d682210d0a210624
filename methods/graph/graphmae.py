"""GraphMAE: Self-Supervised Masked Graph Autoencoders (Hou et al., KDD 2022, arXiv 2205.10803).

A graph network sees a graph in which half of the nodes hold a mask token (and a few another
node's features); edges are never hidden. The codes of those nodes are set to zero again
("re-mask"), and a decoder of one graph layer regresses their raw features: (1 − cosine)^γ.

Differs from a masked autoencoder of images: hidden nodes go through the encoder, since the graph
would fall apart without them, and the decoder is one layer. Molecules (official folder `chem`)
have embeddings of atoms and bonds in the place of features, and predict the atom's type.

Paper and official code agree but for edge drop, which leaves some nodes two self-loops, where we
follow the code. What is not needed is not computed: codes that the re-mask wipes, predictions of
nodes that were seen, and products with the zeros of a bag of words.
"""

# B graphs, N nodes of all of them, M hidden, d features, H width, L layers.

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.draws import Draws
from ...core.errors import UsageError
from ...core.graphs.batch import EDGES, GraphBatch, Pooling, as_graphs, pool_graphs, thinned
from ...core.graphs.csr import Csr
from ...core.graphs.features import NodeTable, replaced_rows
from ...core.graphs.molecule import MASKED_ATOM, BondLayer, MoleculeTrunk
from ...core.graphs.trunk import GraphTrunk, LayerSettings, NodeDecoder, decoder_layer
from ...core.keymap import Key
from ...core.masking import Corruption, GraphNodeMasker, Mask, NodeMasker
from ...core.method import Method, StepOutput
from ...core.modality import Source
from ...core.objectives import patch_mse, scaled_cosine_error
from ...core.step import StepContext
from ...core.tokens import Batch, Tokens
from ...core.training.distributed import World

ATOM_TARGETS = MASKED_ATOM  # atom types that are predicted; the mask is none


class GraphMAEConfig(LayerSettings):
    """Settings of GraphMAE; the defaults are those of Cora."""

    in_dim: int = Field(default=0, ge=0)  # d; 0 = as the data has them
    encoder: Literal["gat", "gin", "gcn", "molecule"] = "gat"
    decoder: Literal["gat", "gin", "gcn", "mlp", "linear", "molecule"] = "gat"
    depth: int = Field(default=2, ge=1)  # L
    masking: Annotated[NodeMasker | GraphNodeMasker, Field(discriminator="kind")] = NodeMasker()
    remask: bool = True  # never with an mlp or linear decoder, which sees a node by itself
    concat_hidden: bool = False  # the decoder gets the codes of all layers
    drop_edge: float = Field(default=0.0, ge=0, lt=1)  # of the edges that the encoder sees
    objective: Literal["sce", "mse"] = "sce"
    gamma: int = Field(default=3, ge=1)  # γ of "sce"
    pooling: Pooling = "mean"  # of a graph's node codes, in `features`

    @model_validator(mode="after")
    def _fits(self) -> "GraphMAEConfig":
        if (self.encoder == "molecule") != (self.decoder == "molecule"):
            raise ValueError(f"encoder {self.encoder} does not go with decoder {self.decoder}")
        if self.encoder == "molecule" and (self.drop_edge or self.concat_hidden):
            raise ValueError("molecules have neither drop_edge nor concat_hidden")
        if self.encoder == "gat" and self.dim % self.heads:
            raise ValueError(f"dim {self.dim} does not divide into {self.heads} heads")
        if self.decoder == "gat" and self.in_dim % self.decoder_heads:
            raise ValueError(f"in_dim {self.in_dim} does not divide into decoder_heads")
        return self

    @property
    def wipes(self) -> bool:
        """Whether hidden codes are set to zero before the decoder."""
        apart = self.decoder in ("mlp", "linear") or self.masking.rate == 0
        return self.remask and not apart


class GraphMAE(Method):
    """The masked autoencoder on graphs.

    Args:
        config: the settings; with `in_dim` 0 the network is built when the data is known.
        decoder: False leaves out all but the encoder (features alone).

    Example:
        >>> from masquerade.core.graphs.batch import union
        >>> model = GraphMAE(GraphMAE.Config(in_dim=3, dim=8, heads=2))
        >>> edges = Csr.from_pairs(torch.arange(6), torch.arange(6), (6, 6))
        >>> graph = {"x": torch.rand(6, 3), **edges.tensors("edges/")}
        >>> batch = GraphBatch(union([graph]), ids=torch.arange(1))
        >>> model(batch, Draws(0, batch.ids), StepContext()).prediction.shape
        torch.Size([1, 3, 3])
    """

    slug = "graphmae"
    modality = "graph"
    Config = GraphMAEConfig
    encoder: GraphTrunk | MoleculeTrunk | None
    decoder: nn.Module | None
    encoder_to_decoder: nn.Linear | None
    decoder_activation: nn.PReLU | None
    mask_token: nn.Parameter | None

    def __init__(self, config: GraphMAEConfig, *, decoder: bool = True) -> None:
        super().__init__(config)
        self.encoder = self.decoder = self.encoder_to_decoder = self.decoder_activation = None
        self.mask_token = None
        if config.in_dim or config.encoder == "molecule":
            self._build(config, decoder)

    def _build(self, config: GraphMAEConfig, decoder: bool) -> None:  # noqa: FBT001
        dim = config.dim
        if config.encoder == "molecule":
            self.encoder = MoleculeTrunk(dim, config.depth, config.feat_drop)
        else:
            self.encoder = GraphTrunk(config.encoder, config.in_dim, config.depth, config)
        if not decoder:
            return
        wide = dim * config.depth if config.concat_hidden else dim
        self.encoder_to_decoder = nn.Linear(wide, dim, bias=False)
        if config.decoder == "molecule":
            self.decoder_activation = nn.PReLU()
            self.decoder = BondLayer(dim, ATOM_TARGETS)
            return
        self.mask_token = nn.Parameter(torch.zeros(1, config.in_dim))
        if config.decoder == "mlp" or config.decoder == "linear":  # noqa: PLR1714 - narrows
            self.decoder = NodeDecoder(config.decoder, dim, config.in_dim)
        else:
            self.decoder = decoder_layer(config.decoder, config.in_dim, config)

    def check_source(self, source: Source) -> None:
        """Refuse data of other features than the network reads."""
        found = getattr(source, "n_features", None)
        if found is None:
            raise UsageError(f"{source.name} holds no graphs", "give a graph data set")
        molecules = self.config.encoder == "molecule"
        if molecules != (found == 0):
            raise UsageError(
                f"{source.name} holds {'molecules' if found == 0 else 'graphs with features'}, "
                f"the encoder '{self.config.encoder}' reads the other",
                "choose --recipe graphmae-molecules for molecules, another one for graphs",
            )
        if self.config.in_dim not in (0, found):
            raise UsageError(
                f"{source.name} has {found} node features, method.in_dim is {self.config.in_dim}",
                "choose the recipe of this data, or --set method.in_dim=0",
            )

    def build_for(self, source: Source, world: World) -> None:  # noqa: ARG002 - same on all
        """Build the network where only the data says how many features nodes have."""
        if self.encoder is None:
            n_features = source.n_features  # type: ignore[attr-defined]
            self.config = self.config.model_copy(update={"in_dim": n_features})
            self._build(self.config, decoder=True)

    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """The reconstruction loss of the hidden nodes of a `GraphBatch`."""
        graphs = as_graphs(batch)
        if mask is None:
            mask, corruption = self.config.masking.draw(graphs.graph_ptr, draws.fork("mask"))
        else:
            corruption = Corruption(mask.hidden[0], *[mask.hidden[0, :0]] * 2)
        seen = graphs.edges
        if self.config.drop_edge and self.training:
            keys = Draws(draws.seed, draws.ids[:1], draws.epoch, draws.stream).fork("edges")
            seen = thinned(seen, keys.uniform(len(seen))[0] >= self.config.drop_edge)
        codes = self.codes(graphs, mask, self.encode(graphs, corruption, seen))
        prediction = self.decode(graphs, mask, codes)
        return StepOutput(self.loss(graphs, mask, prediction), prediction=prediction, mask=mask)

    def encode(self, batch: GraphBatch, corruption: Corruption | None, edges: Csr) -> Tensor:
        """(N, H) codes of the nodes, some of them corrupted; (N, L · H) where all layers count."""
        if self.encoder is None:
            raise UsageError(
                "the network is not built: the number of node features is unknown",
                "set method.in_dim, or name a recipe of a data set",
            )
        batch.check_features(0 if self._reads_atoms else self.config.in_dim)
        if isinstance(self.encoder, MoleculeTrunk):
            atoms = batch["x"]
            if corruption is not None:
                masked = torch.tensor([MASKED_ATOM, 0], device=atoms.device)
                atoms = atoms.index_copy(
                    0, corruption.token, masked.expand(len(corruption.token), 2)
                )
            return self.encoder.encode(atoms, edges, batch["bonds"])
        layers = self.encoder.layers_of(self._table(batch, corruption), edges)
        # only the decoder wants all layers: the features are the last one's
        wide = self.config.concat_hidden and corruption is not None
        return torch.cat(layers, dim=1) if wide else layers[-1]

    def _table(self, batch: GraphBatch, corruption: Corruption | None) -> NodeTable:
        """(N, d) node features as the encoder sees them."""
        if corruption is None or self.mask_token is None:
            return batch.node_table
        token = self.mask_token.expand(len(corruption.token), -1)
        other = batch["x"].index_select(0, corruption.source)
        ids = torch.cat([corruption.token, corruption.noise])
        return replaced_rows(batch.node_table, ids, torch.cat([token, other]))

    def codes(self, batch: GraphBatch, mask: Mask, encoded: Tensor) -> Tensor:
        """(N, H) what the decoder sees: hidden nodes are zero where they are wiped."""
        assert self.encoder_to_decoder is not None  # noqa: S101 - training has a decoder
        if self.decoder_activation is not None:
            encoded = self.decoder_activation(encoded)
        if not self.config.wipes:
            return self.encoder_to_decoder(encoded)
        visible = mask.visible[0]
        seen = self.encoder_to_decoder(encoded.index_select(0, visible))
        return seen.new_zeros(batch.n_nodes, seen.shape[1]).index_copy(0, visible, seen)

    def decode(self, batch: GraphBatch, mask: Mask, codes: Tensor) -> Tensor:
        """(1, M, d) predictions at `mask.predict`, made over all edges."""
        assert self.decoder is not None  # noqa: S101
        rows = mask.predict[0]
        if isinstance(self.decoder, BondLayer):
            return self.decoder(codes, batch.edges, batch["bonds"], rows)[None]
        return self.decoder(codes, batch.edges, rows)[None]

    def loss(self, batch: GraphBatch, mask: Mask, prediction: Tensor) -> Tensor:
        """The scaled cosine error, or the mean squared error, of the hidden nodes."""
        wanted = self.targets(batch)[None]
        if self.config.objective == "mse":
            return patch_mse(prediction, wanted, mask, normalize=False)
        return scaled_cosine_error(prediction, wanted, mask, gamma=self.config.gamma)

    def targets(self, batch: GraphBatch) -> Tensor:
        """(N, d) what is predicted: the raw features, or the atoms' types one-hot."""
        x = batch["x"]
        return F.one_hot(x[:, 0], ATOM_TARGETS).float() if self._reads_atoms else x

    @property
    def _reads_atoms(self) -> bool:
        return self.config.encoder == "molecule"

    def node_features(self, batch: Batch) -> Tensor:
        """(N, H) codes of the nodes of the unmasked graphs, by the encoder alone."""
        graphs = as_graphs(batch)
        return self.encode(graphs, None, graphs.edges).float()

    def features(self, batch: Batch) -> Tensor:
        """(B, H) node codes pooled over each graph."""
        graphs = as_graphs(batch)
        return pool_graphs(self.node_features(graphs), graphs.graph_ptr, self.config.pooling)

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """Node features (1, N, d): of hidden nodes the predicted ones.

        The cosine error leaves their length open: they get that of the true features.
        """
        graphs = as_graphs(batch)
        if output.mask is None or output.prediction is None:
            raise ValueError("the output has no prediction")
        wanted = self.targets(graphs)[None]
        predicted = output.prediction.float()
        if self.config.objective == "sce":
            length = output.mask.take_predict(wanted).norm(dim=-1, keepdim=True)
            predicted = F.normalize(predicted, dim=-1) * length
        edges = torch.stack([graphs[f"{EDGES}column"], graphs[f"{EDGES}row"]])
        return Tokens(output.mask.put_predicted(wanted, predicted), edges=edges)

    # official containers -----------------------------------------------------------------------

    KEYMAP: ClassVar[tuple[Key, ...]] = (
        Key("enc_mask_token", "mask_token"),
        Key("encoder_to_decoder.*", "encoder_to_decoder.*"),
        Key("encoder.gat_layers.*.fc.*", "encoder.gat.*.project.*"),
        Key("encoder.gat_layers.*.attn_l", "encoder.gat.*.attend_source"),
        Key("encoder.gat_layers.*.attn_r", "encoder.gat.*.attend_target"),
        Key("encoder.gat_layers.*.res_fc.*", "encoder.gat.*.shortcut.*"),
        Key("encoder.gat_layers.*", "encoder.gat.*"),
        Key("decoder.gat_layers.0.fc.*", "decoder.project.*"),
        Key("decoder.gat_layers.0.attn_l", "decoder.attend_source"),
        Key("decoder.gat_layers.0.attn_r", "decoder.attend_target"),
        Key("decoder.gat_layers.0.bias", "decoder.bias"),
        Key("encoder.gcn_layers.*.fc.*", "encoder.gcn.*.linear.*"),
        Key("encoder.gcn_layers.*._activation.*", "encoder.gcn.*.activation.*"),
        Key("encoder.gcn_layers.*.res_fc.*", "encoder.gcn.*.shortcut.*"),
        Key("encoder.gcn_layers.*", "encoder.gcn.*"),
        Key("decoder.gcn_layers.0.fc.*", "decoder.linear.*"),
        Key("encoder.layers.*.apply_func.mlp.linears.0.*", "encoder.gin.*.hidden.*"),
        Key("encoder.layers.*.apply_func.mlp.norms.0.*", "encoder.gin.*.hidden_norm.*"),
        Key("encoder.layers.*.apply_func.mlp.activations.0.*", "encoder.gin.*.hidden_activation.*"),
        Key("encoder.layers.*.apply_func.mlp.linears.1.*", "encoder.gin.*.out.*"),
        Key("encoder.layers.*.apply_func.norm.*", "encoder.gin.*.norm.*"),
        Key("encoder.layers.*.apply_func.act.*", "encoder.gin.*.activation.*"),
        Key("encoder.layers.*.eps", "encoder.gin.*.eps"),
        Key("decoder.layers.0.apply_func.linears.0.*", "decoder.hidden.*"),
        Key("decoder.layers.0.apply_func.norms.0.*", "decoder.hidden_norm.*"),
        Key("decoder.layers.0.apply_func.activations.0.*", "decoder.hidden_activation.*"),
        Key("decoder.layers.0.apply_func.linears.1.*", "decoder.out.*"),
        Key("decoder.layers.0.eps", "decoder.eps"),
        Key("encoder.x_embedding1.*", "encoder.atom_type.*"),
        Key("encoder.x_embedding2.*", "encoder.chirality.*"),
        Key("encoder.gnns.*.edge_embedding1.*", "encoder.layers.*.bond_type.*"),
        Key("encoder.gnns.*.edge_embedding2.*", "encoder.layers.*.bond_direction.*"),
        Key("encoder.gnns.*", "encoder.layers.*"),
        Key("encoder.batch_norms.*", "encoder.norms.*"),
        Key("decoder.activation.*", "decoder_activation.*"),
        Key("decoder.enc_to_dec.*", "encoder_to_decoder.*"),
        Key("decoder.conv.edge_embedding1.*", "decoder.bond_type.*"),
        Key("decoder.conv.edge_embedding2.*", "decoder.bond_direction.*"),
        Key("decoder.conv.mlp.*", "decoder.mlp.*"),
        Key("decoder.*", "decoder.net.*"),
    )

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """A published state; names of a molecule encoder, bare or after "gnn.", get a prefix."""
        own, left_out = {}, []
        for name, value in state.items():
            bare = name.removeprefix("gnn.")
            if bare.startswith(("graph_pred_linear.", "decoder.dec_token")):
                left_out.append(f"{name}: left out (not the encoder's; unused by the decoder)")
            else:
                prefix = "encoder." if bare.startswith(_MOLECULE_PARTS) else ""
                own[f"{prefix}{bare}"] = value
        return own, tuple(left_out)

    @classmethod
    def wrapped(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """A published file's content: the bare state, of a molecule encoder without a prefix."""
        alone = all(name.startswith("encoder.") for name in state)
        molecule = alone and "encoder.x_embedding1.weight" in state
        return {name.removeprefix("encoder.") if molecule else name: state[name] for name in state}

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """The whole model, or the encoder alone."""
        return "pretrain" if any(name.startswith("decoder.") for name in names) else "encoder"

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix."""
        if "encoder.x_embedding1.weight" in shapes:
            return {
                "encoder": "molecule", "decoder": "molecule", **_ONE_HEAD,
                "dim": shapes["encoder.x_embedding1.weight"][1],
                "depth": _depth(shapes, "encoder.batch_norms."),
            }  # fmt: skip
        family = next((f for f, name in _FIRST.items() if f"encoder.{name}" in shapes), None)
        if family is None:
            return {}
        prefix = "encoder." + _FIRST[family].split(".")[0]
        out, in_dim = shapes[f"encoder.{_FIRST[family]}"]
        found: dict[str, Any] = {
            "encoder": family, "in_dim": in_dim, "dim": out,
            "depth": _depth(shapes, f"{prefix}."), "norm": _norm(shapes, f"{prefix}.0."),
            "residual": any(".res_fc." in name for name in shapes), **_ONE_HEAD,
        }  # fmt: skip
        acts = ("activation.weight", "_activation.weight", "apply_func.act.weight")
        plain = not any(f"{prefix}.0.{name}" in shapes for name in acts)
        found["activation"] = "relu" if plain else "prelu"
        if family == "gat":
            found["heads"] = shapes["encoder.gat_layers.0.attn_l"][1]
        if "encoder_to_decoder.weight" in shapes:
            found["concat_hidden"] = shapes["encoder_to_decoder.weight"][1] > out
        if "decoder.gat_layers.0.attn_l" in shapes:
            found["decoder_heads"] = shapes["decoder.gat_layers.0.attn_l"][1]
        kinds = {f: name for f, name in _FIRST.items() if f != "gin"} | _OTHER_DECODERS
        decoder = next((f for f, name in kinds.items() if f"decoder.{name}" in shapes), None)
        return found | ({} if decoder is None else {"decoder": decoder})

    @classmethod
    def from_container(
        cls,
        container: str,
        config: GraphMAEConfig,
        shapes: Mapping[str, tuple[int, ...]],  # noqa: ARG003 - the settings say all
    ) -> "GraphMAE":
        """The module that a container's weights fill."""
        return cls(config, decoder=container == "pretrain")


# where official names of a family's first weight begin, after "encoder." or "decoder."
_FIRST = {
    "gat": "gat_layers.0.fc.weight",
    "gcn": "gcn_layers.0.fc.weight",
    "gin": "layers.0.apply_func.mlp.linears.0.weight",
}
_OTHER_DECODERS = {
    "gin": "layers.0.apply_func.linears.0.weight", "mlp": "3.weight", "linear": "weight",
}  # fmt: skip
_ONE_HEAD = {"heads": 1, "decoder_heads": 1}  # where the weights show no others
_MOLECULE_PARTS = ("x_embedding", "gnns.", "batch_norms.")


def _depth(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    starts = (name[len(prefix) :] for name in shapes if name.startswith(prefix))
    return len({rest.split(".")[0] for rest in starts})


def _norm(shapes: Mapping[str, tuple[int, ...]], layer: str) -> str:
    own = [name for name in shapes if name.startswith(layer) and "norm" in name]
    if not own:
        return "none"
    return "batch" if any(name.endswith("running_mean") for name in own) else "layer"
