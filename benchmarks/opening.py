"""Subjects and data from what a user types."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.config import Config, build, merge
from ..core.errors import UsageError, nearest
from .protocol import Benchmark, Data, TaskData
from .subjects import (
    ChanceSubject,
    Extraction,
    ModelSubject,
    PcaSubject,
    RandomSubject,
    RawSubject,
    Subject,
)

if TYPE_CHECKING:
    from ..core.method import Method
    from ..core.modality import Modality

BUILT_IN = ("chance", "raw", "pca")
FACES = ("face-api", "pca-lda", "dlib")
_FORMS = (
    "a run folder, a weights file, random:METHOD[@RECIPE], raw, pca, chance, "
    f"{', '.join(FACES)}, onnx:FILE, insightface:PACK, or a .parquet of `masquerade embed`"
)


def open_subject(
    text: str,
    extraction: Extraction | None = None,
    *,
    like: Subject | None = None,
    seed: int = 0,
    preprocessing: Mapping[str, Any] | None = None,
    modality: str = "image",
) -> Subject:
    """The subject that a user names.

    Args:
        text: a run folder, a weights file, `random:METHOD[@RECIPE]`, `raw`, `pca`, `chance`; of
            faces `face-api`, `pca-lda`, `dlib`, `onnx:FILE`, `insightface:PACK`; or embeddings that
            `masquerade embed` wrote (`FILE.parquet`, several separated by commas).
        extraction: how features are computed.
        like: the scored subject, when this one is its baseline: the input is prepared in the same
            way, and `random:METHOD` without a recipe has the same settings as its model.
        seed: of the untrained weights.
        preprocessing: settings of the modality that replace the subject's own.
        modality: of the built-in subjects, where there is no `like`.

    Raises:
        UsageError: no such subject; lists what there is.
        WeightsError: the weights do not load.
    """
    how = extraction or (like.extraction if like else Extraction())
    own = dict(preprocessing or {})
    name, _, rest = text.partition(":")
    if text in BUILT_IN:
        adapter = like.modality if like else _modality(modality, own)
        built_in = {"chance": ChanceSubject, "raw": RawSubject, "pca": PcaSubject}
        return built_in[text](adapter, how)
    if name == "random" and rest:
        return _random(rest, how, like, seed, own)
    if text in FACES or (name in ("onnx", "insightface") and rest):
        return _faces(text, how, own)
    if text.endswith(".parquet"):
        from .embedding_files import open_embeddings

        return open_embeddings(text, _modality(modality, own), how)
    if Path(text).exists():
        return _model(Path(text), how, own)
    raise UsageError(
        f"no subject '{text}': expected {_FORMS}",
        nearest(text, [*BUILT_IN, *FACES, "random:mae"]),
    )


def open_scored(
    protocol: Benchmark,
    text: str,
    extraction: Extraction,
    own: Mapping[str, Any],
    modality: str = "image",
) -> Subject:
    """The subject that a protocol scores: a model, or what the protocol opens itself.

    Args:
        protocol: opens its subject itself where that is a data set.
        text: what a user names.
        extraction: how features are computed.
        own: the `data.` settings that are the subject's.
        modality: of the built-in subjects: the data's.

    Raises:
        UsageError: no such subject.
        DataError: no such data set.
        WeightsError: the weights do not load.
    """
    opener = getattr(protocol, "open_subject", None)
    if opener is None:
        return open_subject(text, extraction, preprocessing=own, modality=modality)
    opened: Subject = opener(text, own, extraction)
    return opened


def modality_of(data: Data) -> str:
    """The modality of what a protocol is run on; faces and embeddings count as images."""
    source = getattr(data, "train", getattr(data, "gallery", None))
    return getattr(source, "modality", "image")


def open_task(
    protocol: Benchmark,
    text: str,
    train: str | None,
    test: str | None,
    *,
    own: Mapping[str, Any],
    extraction: Extraction,
    runs: Path,
    judge: str | None = None,
) -> tuple[Data, dict[str, Any]]:
    """The data that a protocol is run on, and the `data.` settings that it leaves to the subject.

    Args:
        protocol: opens its data itself where that is no train and test split.
        text: what a user names.
        train: the train split, where the name does not say it.
        test: the test split, likewise.
        own: the user's `data.` settings.
        extraction: how features are computed.
        runs: the folder for trainings of a protocol that trains.
        judge: a face net for a protocol that scores data sets; None = its default.

    Raises:
        UsageError: a split or a judge is given to a protocol that has none, or as for `open_data`.
        DataError: there is no such data.
    """
    if judge is not None and not getattr(protocol, "TAKES_JUDGE", False):
        raise UsageError(f"'{protocol.SLUG}' has no judge", "leave out --judge")
    opener = getattr(protocol, "open_data", None)
    if opener is None:
        return open_data(text, train, test), dict(own)
    more: dict[str, Any] = {}
    if train is not None or test is not None:
        if not getattr(protocol, "TAKES_SPLITS", False):
            raise UsageError(
                f"'{protocol.SLUG}' has no --train and --test", "name its data by --data"
            )
        more = {"train": train, "test": test}
    if getattr(protocol, "KEEPS_RUNS", False):
        more["runs"] = runs
    if judge is not None:
        more["judge"] = judge
    data, rest = opener(text, own, extraction, **more)
    return data, dict(rest)


def open_data(text: str, train: str | None = None, test: str | None = None) -> TaskData:
    """The train and test split that a user names.

    Args:
        text: a catalogue name (`NAME` and `NAME:test`), a folder with `train` and `test`, or an
            .npz with both (`FILE#train`, `FILE#test`).
        train: the train split, where the name does not say it.
        test: the test split, likewise.

    Raises:
        UsageError: only one split is given.
        DataError: there is no such data.
    """
    from ..modalities.catalogue import CATALOGUE, resolve_data

    if (train is None) != (test is None):
        raise UsageError("got one of --train and --test, expected both", "give the other one")
    if train is not None and test is not None:
        names: tuple[str, ...] = (train, test)
    elif text in CATALOGUE:
        names = tuple(f"{text}:{split}" for split in CATALOGUE[text].splits[:2])
    elif Path(text).suffix == ".npz":
        names = (f"{text}#train", f"{text}#test")
    elif Path(text).is_dir():
        names = _split_folders(Path(text))
    else:
        names = (text, text)  # no such thing: resolve_data says what there is
    called = Path(text).name if Path(text).exists() else text
    return TaskData(called, resolve_data(names[0]), resolve_data(names[1]))


def _split_folders(folder: Path) -> tuple[str, ...]:
    """The folders of the two splits; ImageNet-like sets call the second one `val`."""
    for test in ("test", "val"):
        if (folder / "train").is_dir() and (folder / test).is_dir():
            return str(folder / "train"), str(folder / test)
    raise UsageError(
        f"{folder} has no folders 'train' and 'test' (or 'val')", "name both: --train and --test"
    )


def _modality(slug: str, settings: Mapping[str, Any]) -> "Modality":
    from ..modalities.registry import modality

    adapter = modality(slug)
    # raw inputs want the whole picture, small
    small = {"size": 32, "eval_crop": 1.0}
    whole: dict[str, dict[str, Any]] = {
        "image": small, "video": small, "audio-visual": {"video": small},
    }  # fmt: skip
    return adapter(build(adapter.Config, merge(whole.get(slug, {}), settings), "data"))


def _faces(text: str, how: Extraction, own: Mapping[str, Any]) -> Subject:
    """A face extractor."""
    from ..modalities.image.faces.embedders import open_embedder
    from .face_subjects import EmbedderSubject

    return EmbedderSubject(open_embedder(text, how.device), how, own)


def _model(path: Path, how: Extraction, own: Mapping[str, Any]) -> Subject:
    """A run folder's or weights file's model, with the preprocessing that it was trained with."""
    from ..core.training.run_folder import settings_of, training_data_of
    from ..methods.weights import load_method
    from ..modalities.image.faces.embedders import face_net_of

    if face_net_of(path) is not None:
        return _faces(str(path), how, own)
    method = load_method(path)
    data = {**settings_of(path).get("data", {}), **own}
    adapter = _adapter(method, method.config, data)
    name = path.resolve().name if path.is_dir() else path.stem
    return ModelSubject(name, method, adapter, how, training_data_of(path))


def _adapter(
    method: "Method | type[Method]", config: Config, data: Mapping[str, Any]
) -> "Modality":
    from ..modalities.registry import modality

    adapter = modality(method.modality)
    fitting = method.data_defaults(config)
    return adapter(build(adapter.Config, {**fitting, **data}, "data"))


def _random(
    text: str, how: Extraction, like: Subject | None, seed: int, own: Mapping[str, Any]
) -> RandomSubject:
    """An untrained model: of the scored one's settings, or of a recipe's."""
    import torch

    from ..methods.registry import method

    slug, _, recipe = text.partition("@")
    cls = method(slug)
    twin = isinstance(like, ModelSubject) and like.method.slug == slug and not recipe
    if twin and isinstance(like, ModelSubject):
        config, adapter = like.method.config, like.modality
    else:
        from ..methods.recipes import resolve

        settings = resolve(slug, recipe or None).settings
        config = settings.method
        adapter = _adapter(cls, config, merge(settings.data.to_dict(), own))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = cls(config)
    name = f"random:{slug}" + (f"@{recipe}" if recipe else "")
    return RandomSubject(name, untrained, adapter, how)
