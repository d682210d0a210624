"""Probe of nodes, SVM of graphs, fine-tuned molecules: against plain ways, and as records."""

from pathlib import Path

import networkx
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

from masquerade.benchmarks import graph_classification, molecule_finetune, node_classification
from masquerade.benchmarks.baselines import baselines_of, run_with_baselines
from masquerade.benchmarks.features import Features
from masquerade.benchmarks.molecule_data import scaffold_split
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import Result
from masquerade.benchmarks.subjects import Extraction, ModelSubject, RandomSubject
from masquerade.core.errors import DataError, UsageError
from masquerade.core.metrics.ranking import rmse, roc_auc
from masquerade.methods.graph.graphmae import GraphMAE
from masquerade.modalities.graph import Graph
from masquerade.modalities.graph.embedded import karate
from masquerade.modalities.graph.source import GraphSource, GraphTable

HOW = Extraction(batch_size=8)


def graph_model(in_dim: int, **settings: object) -> ModelSubject:
    torch.manual_seed(0)
    config = {"in_dim": in_dim, "dim": 16, "heads": 2, **settings}
    return ModelSubject("it", GraphMAE(GraphMAE.Config(**config)), Graph(Graph.Config()), HOW)


def rings_and_stars(n_each: int = 15) -> GraphSource:
    """Rings against stars of the same sizes, degrees one-hot."""
    graphs = [make(4 + i % 6) for i in range(n_each) for make in (networkx.cycle_graph, _star)]
    ends, before = [], 0
    for graph in graphs:
        ends += [(before + a, before + b) for edge in graph.edges for a, b in (edge, edge[::-1])]
        before += len(graph)
    source, target = np.array(ends).T
    degrees = np.bincount(target, minlength=before)
    table = GraphTable(
        name="rings and stars", sizes=np.array([len(g) for g in graphs]), source=source,
        target=target, x=np.eye(10, dtype=np.float32)[np.minimum(degrees, 9)],
        labels=np.array([0, 1] * n_each), classes=("ring", "star"),
    )  # fmt: skip
    return GraphSource(table)


def _star(n: int) -> networkx.Graph:
    return networkx.star_graph(n - 1)


# nodes ------------------------------------------------------------------------------------------


def node_data() -> node_classification.NodeData:
    data, rest = node_classification.open_data("karate", {"sparse_below": 0.5}, HOW)
    assert rest == {"sparse_below": 0.5}
    return data


def test_a_probe_of_nodes_is_a_record_that_can_be_recomputed() -> None:
    data, subject = node_data(), graph_model(18)
    settings = node_classification.Settings(seeds=2, epochs=30)
    result = node_classification.run(subject, data, settings)
    claim = result.record.claim
    assert set(claim.metrics) == {"accuracy", "mean_class_accuracy", "accuracy_at_best_validation"}
    assert claim.metrics == node_classification.score(result.predictions)
    assert claim.metrics["accuracy"].n == 18
    assert (claim.settings["lr"], claim.settings["weight_decay"]) == (1e-2, 1e-4)
    assert claim.seeds == (0, 1)
    again = node_classification.run(subject, data, settings)
    assert again.record.id == result.record.id


def test_the_best_epoch_is_the_last_of_those_with_the_best_validation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[np.ndarray] = []
    values = iter([0.2, 0.9, 0.9, 0.5])

    def accuracy(_labels: np.ndarray, predicted: np.ndarray) -> float:
        seen.append(predicted)
        return next(values)

    monkeypatch.setattr(node_classification, "accuracy", accuracy)
    data = node_data()
    codes = torch.randn(34, 8, generator=torch.Generator().manual_seed(0))
    tables = []
    for epochs in (3, 4):
        if epochs == 4:
            values = iter([0.2, 0.9, 0.9, 0.5])
        settings = node_classification.Settings(lr=0.5, weight_decay=0.0, epochs=epochs)
        tables.append(node_classification.fitted(codes, data, settings, 0))
    (third, best_of_three), (_, best_of_four) = tables
    np.testing.assert_array_equal(best_of_three, third)
    np.testing.assert_array_equal(best_of_four, third)


def test_the_probe_learns_what_can_be_learned() -> None:
    data = node_data()
    codes = torch.nn.functional.one_hot(torch.from_numpy(data.labels)).float()
    settings = node_classification.Settings(lr=1e-1, weight_decay=0.0, epochs=60)
    last, best = node_classification.fitted(codes, data, settings, 0)
    wanted = data.labels[data.splits["test"]]
    np.testing.assert_array_equal(last, wanted)
    np.testing.assert_array_equal(best, wanted)
    # a long, weak fit ends where scikit-learn's does
    codes = torch.randn(34, 4, generator=torch.Generator().manual_seed(1))
    settings = node_classification.Settings(lr=1e-1, weight_decay=1e-3, epochs=2000)
    last, _ = node_classification.fitted(codes, data, settings, 0)
    train = data.splits["train"]
    plain = LogisticRegression(C=1 / (1e-3 * len(train)), tol=1e-8, max_iter=10_000)
    plain.fit(codes[train].numpy(), data.labels[train])
    same = np.mean(last == plain.predict(codes[data.splits["test"]].numpy()))
    assert same >= 0.9  # Adam's decay touches the bias too


def test_baselines_of_nodes_read_the_same_graph() -> None:
    data, subject = node_data(), graph_model(18)
    settings = node_classification.Settings(epochs=20)
    results = list(run_with_baselines(node_classification, subject, data, settings))
    names = [r.record.claim.subject.name for r in results]
    assert names == ["it", "chance", "random:graphmae", "raw"]
    assert len({r.record.claim.benchmark.data_hash for r in results}) == 1
    # two classes of nine test members each: the constant guess is half right
    assert results[1].record.claim.metrics["accuracy"].value == 0.5


def test_recipes_set_the_probe() -> None:
    data, subject = node_data(), graph_model(18)
    settings = node_classification.Settings(recipe="graphmae-citeseer", epochs=7)
    found = node_classification.resolved(subject, data, settings)
    assert (found.lr, found.weight_decay, found.epochs) == (1e-2, 1e-2, 7)
    with pytest.raises(UsageError, match="unknown recipe"):
        node_classification.resolved(subject, data, node_classification.Settings(recipe="no"))


def test_subjects_that_do_not_read_graphs_are_refused(subject: ModelSubject) -> None:
    with pytest.raises(UsageError, match="has no codes of nodes"):
        node_classification.node_codes(
            node_classification.open_subject("pca", {}, HOW), karate("train")
        )
    assert node_classification.open_subject("raw", {}, HOW).modality.slug == "graph"
    with pytest.raises(UsageError, match="reads image data, not graphs"):
        node_classification.open_subject("random:mae@mae-tiny", {}, HOW)
    with pytest.raises(UsageError, match="have 18 features, the network reads 7 features"):
        node_classification.node_codes(graph_model(7), karate("train"))


# graphs -----------------------------------------------------------------------------------------


def graphs_result(subject: ModelSubject, **settings: object) -> Result:
    data = graph_classification.GraphsData("toy", rings_and_stars())
    return graph_classification.run(subject, data, graph_classification.Settings(**settings))


def test_rings_and_stars_are_told_apart_and_recorded() -> None:
    subject = graph_model(10, encoder="gin", decoder="gin", pooling="sum")
    result = graphs_result(subject)
    metric = result.record.claim.metrics["accuracy"]
    assert metric.value > 0.9
    assert (metric.n, metric.n_of, len(metric.parts)) == (10, "folds", 10)
    assert np.mean(metric.parts) == pytest.approx(metric.value)
    assert result.record.claim.metrics == graph_classification.score(result.predictions)
    assert len(result.predictions) == 30
    chance = baselines_of(graph_classification, subject)[0]
    assert graphs_result(chance).record.claim.metrics["accuracy"].value < 0.6


def test_the_machine_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 90)
    vectors = (random.normal(size=(90, 12)) + 0.4 * labels[:, None]).astype(np.float32)
    keys = tuple(map(str, range(90)))
    features = Features(vectors, labels, keys, ("a", "b", "c"))
    settings = graph_classification.Settings()
    folds = graph_classification.outer_folds(features, rings_and_stars(), settings)
    splitter = StratifiedKFold(10, shuffle=True, random_state=0)
    distances = graph_classification.squared_distances(vectors)
    for (train, test), (fit, asked) in zip(folds, splitter.split(vectors, labels), strict=True):
        np.testing.assert_array_equal(train, fit)
        search = GridSearchCV(SVC(random_state=42), {"C": [1e-3, 1e-2, 0.1, 1, 10]})
        search.fit(vectors[fit], labels[fit])
        chosen, predicted = graph_classification.machine(distances, features, train, test, settings)
        assert chosen == search.best_params_["C"]
        np.testing.assert_array_equal(predicted, search.predict(vectors[asked]))


def test_published_folds_are_taken_where_they_lie() -> None:
    with pytest.raises(DataError, match="has no published folds beside it"):
        graphs_result(graph_model(10), folds="published")
    source = rings_and_stars()
    source.folds = ((np.arange(2, 30), np.arange(2)), (np.arange(28), np.arange(28, 30)))
    data = graph_classification.GraphsData("toy", source)
    result = graph_classification.run(
        graph_model(10), data, graph_classification.Settings(folds="published")
    )
    assert result.record.claim.metrics["accuracy"].n == 2
    assert result.record.claim.metrics["accuracy"].interval is None


def test_a_class_too_small_for_the_folds_is_named() -> None:
    labels = np.array([0] * 20 + [1] * 4)
    features = Features(np.zeros((24, 2), np.float32), labels, tuple(map(str, labels)), ("a", "b"))
    with pytest.raises(DataError, match="class 'b' of .* has 4 graphs, expected at least 10"):
        graph_classification.outer_folds(
            features, rings_and_stars(), graph_classification.Settings()
        )


# molecules --------------------------------------------------------------------------------------


def molecule_model(**settings: object) -> ModelSubject:
    torch.manual_seed(0)
    config = GraphMAE.Config(
        encoder="molecule", decoder="molecule", dim=16, depth=2, feat_drop=0.0, **settings
    )
    return ModelSubject("it", GraphMAE(config), Graph(Graph.Config()), HOW)


@pytest.fixture
def alcohols(tmp_path: Path) -> Path:
    """60 chains and rings of carbon, half of them with an oxygen, and its share in per cent."""
    pytest.importorskip("rdkit")
    rows = ["smiles,alcohol,rare,share"]
    for n in range(1, 16):
        for ring in (False, True):
            chain = f"C1{'C' * (n + 1)}C1" if ring else "C" * n
            for oxygen in (False, True):
                rare = "" if n % 3 else int(oxygen)
                share = 100 * oxygen / ((n + 3 if ring else n) + oxygen)
                rows.append(f"{chain}{'O' if oxygen else ''},{int(oxygen)},{rare},{share:.2f}")
    path = tmp_path / "alcohols.csv"
    path.write_text("\n".join([*rows, "broken,0,1,3"]) + "\n")
    return path


def test_molecules_are_fine_tuned_and_recorded(alcohols: Path) -> None:
    data, _ = molecule_finetune.open_data(str(alcohols), {}, HOW)
    assert (data.tasks, data.n_unreadable, data.binary) == (("alcohol", "rare"), 1, True)
    sizes = {name: len(rows) for name, rows in data.splits.items()}
    assert sum(sizes.values()) == 60
    assert sizes["train"] >= 40
    settings = molecule_finetune.Settings(epochs=25, batch_size=16, dropout=0.0, lr=5e-3)
    subject = molecule_model()
    before = {k: v.clone() for k, v in subject.method.state_dict().items()}
    result = molecule_finetune.run(subject, data, settings)
    claim = result.record.claim
    assert claim.main_metric == "roc_auc"
    assert claim.metrics["roc_auc"].value > 0.9
    assert claim.facts["unreadable_molecules"] == 1
    assert claim.metrics == molecule_finetune.score(result.predictions)
    assert all(torch.equal(v, before[k]) for k, v in subject.method.state_dict().items())
    (chance, random) = baselines_of(molecule_finetune, subject)
    assert isinstance(random, RandomSubject)
    found = molecule_finetune.run(chance, data, settings).record.claim.metrics["roc_auc"].value
    assert found == 0.5
    again = molecule_finetune.run(subject, data, settings)
    assert again.record.id == result.record.id


def test_numbers_that_are_no_classes_have_an_rmse(alcohols: Path) -> None:
    data, _ = molecule_finetune.open_data(f"{alcohols}#share", {}, HOW)
    assert not data.binary
    settings = molecule_finetune.Settings(epochs=30, batch_size=16, dropout=0.0, lr=5e-3)
    ours = molecule_finetune.run(molecule_model(), data, settings).record.claim
    assert ours.main_metric == "rmse"
    assert ours.metrics["rmse"].direction == "lower"
    chance = open_subject("chance", HOW, modality="graph")
    constant = molecule_finetune.run(chance, data, settings).record.claim.metrics["rmse"].value
    assert ours.metrics["rmse"].value < constant


def test_scaffolds_stay_together_in_the_official_order() -> None:
    names = ["ring"] * 5 + ["chain"] * 3 + ["x", "y"]
    found = {k: v.tolist() for k, v in scaffold_split(names).items()}
    assert found == {"train": [0, 1, 2, 3, 4, 5, 6, 7], "val": [9], "test": [8]}
    groups = [{names[row] for row in rows} for rows in found.values()]
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]
    # a group that fits nowhere else goes to test, and smaller ones after it still to train
    found = {k: v.tolist() for k, v in scaffold_split(["a"] * 10 + ["b"] * 9 + ["c"]).items()}
    assert found == {"train": [*range(10), 19], "val": [], "test": [*range(10, 19)]}


def test_molecules_without_measurements_or_encoder_are_refused(
    alcohols: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bare.smi"
    path.write_text("CCO\nCC\n")
    with pytest.raises(DataError, match="holds no measured molecules"):
        molecule_finetune.open_data(str(path), {}, HOW)
    data, _ = molecule_finetune.open_data(str(alcohols), {}, HOW)
    with pytest.raises(UsageError, match="has no molecule encoder"):
        molecule_finetune.run(graph_model(4), data, molecule_finetune.Settings(epochs=1))


def test_ranking_metrics() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    for _ in range(20):
        labels = np.array([0, 1, *random.integers(0, 2, 30)])
        scores = random.integers(0, 5, 32).astype(float)  # many ties
        assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert rmse([1.0, 2.0], [1.0, 4.0]) == pytest.approx(2**0.5)
    from masquerade.core.errors import ValidationError

    with pytest.raises(ValidationError, match="expected 0 and 1, both of them"):
        roc_auc([1, 1], [0.1, 0.2])
