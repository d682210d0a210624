"""The demo's steps on photographs: a small masked autoencoder is pre-trained, then probed.

The task on `photos` is the card's: which of 14 photographs a crop shows, where training crops come
from the left 55 % of each photograph and test crops from the right 40 %.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...core.record_store import write_pictures, write_record
from .steps import Found, Step, protocol_hash, score_line
from .workplace import Workplace

if TYPE_CHECKING:
    from ...benchmarks.protocol import Result

METHOD, RECIPE = "mae", "mae-tiny"
_DRAWN = 6  # test crops in the picture


def masked_steps(place: Workplace) -> Iterator[Step]:
    """The steps, in their order; see the module's text."""
    s, steps = place.settings, MaskedSteps(place)
    by: dict[str, Any] = {"steps": s.mae_steps, "data": s.data, "seed": s.seed}
    yield Step(
        "pre-training", f"pre-train a masked autoencoder, {s.mae_steps} steps",
        {**by, "crops": s.crops}, steps.pretraining, place.autoencoder,
    )  # fmt: skip
    by |= {"protocols": [protocol_hash(slug) for slug in s.scores]}
    yield Step(
        "probe", f"score its frozen features: {' and '.join(s.scores)}",
        {**by, "seeds": s.probe_seeds, "raw": s.probe_raw}, steps.probe,
    )  # fmt: skip


class MaskedSteps:
    """The work of the steps.

    Args:
        place: where and how.
    """

    def __init__(self, place: Workplace) -> None:
        self._place, self._settings = place, place.settings

    def pretraining(self) -> Found:
        """Pre-train, and reconstruct test crops."""
        s, run = self._settings, self._place.autoencoder
        self._place.train(
            METHOD, RECIPE, s.data, run, [f"train.steps={s.mae_steps}", f"train.seed={s.seed}"]
        )
        loss = self._reconstructed()
        return Found(
            (f"loss of hidden patches of {s.crops} test crops {loss:.3f}; {self._place.picture}",),
            facts={"loss": loss},
        )

    def probe(self) -> Found:
        """Score the features beside chance, the untrained twin and the input itself."""
        from ...benchmarks.classification import hits
        from ...core.metrics.intervals import paired_interval

        records, lines, facts = [], [], {}
        for slug in self._settings.scores:
            results = list(self._scored(slug))
            records += [write_record(r.record, self._place.results, r.predictions)[1]
                        for r in results]  # fmt: skip
            own, *others = results
            beside = ", ".join(
                f"{r.record.claim.subject.name} {r.record.main.value:.3f}" for r in others
            )
            lines.append(f"{score_line(f'{slug}: accuracy', own.record)}; {beside}")
            twin = next(r for r in others if r.record.claim.subject.kind == "random")
            first, second = (hits(r.predictions)[0].mean(axis=0) for r in (own, twin))
            facts[f"{slug}: gain"] = [
                float((first - second).mean()), paired_interval(first, second, over="items")
            ]  # fmt: skip
        if not self._place.picture.is_file():  # removed since
            self._reconstructed()
        picture = {"reconstruction.png": self._place.picture.read_bytes()}
        write_pictures(records[0], self._place.results, picture)  # the page shows it there
        return Found(tuple(lines), tuple(records), facts)

    def _scored(self, slug: str) -> "Iterator[Result]":
        from ...benchmarks.baselines import baselines_of

        s = self._settings
        settings = [f"seeds={s.probe_seeds}"] if slug == "probe" else []
        evaluation = self._place.evaluation(slug, str(self._place.autoencoder), s.data, settings)
        protocol, own = evaluation.protocol, evaluation.subject
        for one in (own, *baselines_of(protocol, own)):
            if slug != "probe" or one.kind != "raw" or s.probe_raw:
                yield protocol.run(one, evaluation.data, evaluation.settings)

    def _reconstructed(self) -> float:
        """Draw a few test crops; the loss over many."""
        from ...benchmarks.opening import open_subject
        from ...benchmarks.reconstruction import reconstruct
        from ...benchmarks.subjects import ModelSubject
        from ...modalities.catalogue import resolve_data

        subject = open_subject(str(self._place.autoencoder))
        assert isinstance(subject, ModelSubject)  # noqa: S101 - a run of `pretrain`
        adapter, source = subject.modality, resolve_data(f"{self._settings.data}:test", "image")

        def batch(count: int) -> Any:  # noqa: ANN401 - a Batch; torch is imported late
            samples = [source.read(index) for index in range(count)]
            return adapter.collate(samples, [adapter.prepare(sample, None) for sample in samples])

        shown = batch(_DRAWN)
        drawn = reconstruct(subject.method, shown, seed=0)
        adapter.draw(shown, drawn.tokens, drawn.hidden, self._place.picture)
        return reconstruct(subject.method, batch(self._settings.crops), seed=0).loss
