"""Features: one function for train and test, any batch size, never a NaN."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from masquerade.benchmarks import few_shot, finetune, knn, probe
from masquerade.benchmarks.features import Features, Scaler
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.subjects import Extraction, ModelSubject
from masquerade.core.errors import ValidationError
from masquerade.core.tokens import Batch


def some_features(values: list, **more: object) -> Features:
    array = np.array(values, np.float32)
    keys = tuple(f"k{row}" for row in range(len(array)))
    return Features(array, np.zeros(len(array), np.int64), keys, ("a",), **more)  # type: ignore[arg-type]


def test_features_are_the_methods_own_in_the_sources_order(
    subject: ModelSubject, data: TaskData
) -> None:
    features = subject.features(data.test)
    prepared = [
        subject.modality.prepare(data.test.read(i), None)["image"] for i in range(len(data.test))
    ]
    batch = Batch({"image": torch.stack(prepared)}, torch.arange(len(prepared)))
    with torch.no_grad():
        expected = subject.method.features(batch).numpy()
    np.testing.assert_allclose(features.values, expected, atol=1e-6)
    assert features.keys == tuple(data.test.keys)
    assert features.classes_of.tolist() == data.test.labels.tolist()
    assert features.values.dtype == np.float32


def test_features_do_not_depend_on_batch_size_or_workers(
    subject: ModelSubject, data: TaskData
) -> None:
    whole = subject.features(data.test).values
    for batch_size, workers in ((1, 0), (7, 0), (16, 1)):
        subject.extraction = Extraction(batch_size=batch_size, workers=workers)
        np.testing.assert_allclose(subject.features(data.test).values, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("protocol", [knn, probe, few_shot])
def test_scores_do_not_depend_on_batch_size(
    protocol, subject: ModelSubject, data: TaskData
) -> None:
    settings = protocol.Settings()
    first = protocol.run(subject, data, settings)
    subject.extraction = Extraction(batch_size=5)
    second = protocol.run(subject, data, settings)
    assert first.predictions.equals(second.predictions)
    assert first.record.id == second.record.id  # the whole claim, to the last digit


@pytest.mark.parametrize("protocol", [knn, probe, few_shot])
def test_train_and_test_features_come_from_one_function(
    protocol, subject: ModelSubject, data: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    inner = subject.method.features

    def watched(batch: Batch) -> torch.Tensor:
        calls.append((len(batch), subject.method.training))
        return inner(batch)

    monkeypatch.setattr(subject.method, "features", watched)
    protocol.run(subject, data, protocol.Settings())
    assert sum(n for n, _ in calls) == len(data.train) + len(data.test)  # each sample once
    assert {training for _, training in calls} == {False}


@pytest.mark.parametrize("protocol", [knn, probe, few_shot, finetune])
def test_nan_features_are_refused_with_their_row(
    protocol, subject: ModelSubject, data: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    if protocol is finetune:
        with torch.no_grad():
            subject.method.encoder.embed.bias[0] = float("nan")
        settings = finetune.Settings(epochs=1, batch_size=16)
        match = "expected a finite loss, got nan at step 0"
    else:
        settings, match = protocol.Settings(), r"features row 21 \('.*'\): expected finite numbers"
        inner, seen = subject.method.features, []

        def broken(batch: Batch) -> torch.Tensor:
            values = inner(batch)
            if len(seen) == 1:
                values[5, 3] = float("nan")
            seen.append(1)
            return values

        monkeypatch.setattr(subject.method, "features", broken)
    with pytest.raises(ValidationError, match=match):
        protocol.run(subject, data, settings)


def test_scaler_by_hand() -> None:
    features = some_features([[0, 5, 1], [2, 5, 5]])
    # columns: mean 1, 5, 3; deviation 1, 0, 2; the constant column becomes 0 even elsewhere
    assert Scaler.fit(features)(np.array([[3, 9, 3]])).tolist() == [[2.0, 0.0, 0.0]]
    # one unit: the common scale is sqrt((1 + 0 + 4) / 3)
    shared = Scaler.fit(replace(features, one_unit=True))(np.array([[3, 5, 3]]))
    np.testing.assert_allclose(shared, [[2 / np.sqrt(5 / 3), 0, 0]])


def test_scaler_of_collapsed_features_gives_zeros() -> None:
    for one_unit in (False, True):
        features = some_features([[1e3, 7]] * 4, one_unit=one_unit)
        assert not Scaler.fit(features)(features.values).any()
