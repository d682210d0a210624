"""The demo's steps on faces: generator, synthesized set, recogniser, verification, retrieval.

The recogniser sees synthesized faces only and is tried on real ones. Where no pictures of real
people are known, a second synthesized set stands in for them: its records are named after it, and
everything that is told of them says so.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .people import Portraits
from .steps import Found, Step, protocol_hash, score_line
from .workplace import Workplace

if TYPE_CHECKING:
    from ...core.records import Record
    from ...generators.engine.synthesis import Outcome

GENERATOR, GENERATOR_RECIPE = "vec2face", "vec2face-small"
RECOGNISER, RECOGNISER_RECIPE = "arcface", "arcface-small"
TEMPLATE, DETECTOR = "arcface-112", "mtcnn"


def face_steps(place: Workplace) -> Iterator[Step]:
    """The steps, in their order; see the module's text."""
    s, steps = place.settings, FaceSteps(place)
    learned = None if place.people is None else place.people.learned
    generator: dict[str, Any] = {
        "seed": s.seed, "steps": s.generator_steps,
        "people": None if learned is None else learned.fingerprint(),
    }  # fmt: skip
    title = "load the generator"
    if place.generator:
        title = f"train a generator, {s.generator_steps} steps"
    yield Step("generator", title, generator, steps.generator, place.generator)
    made = {**generator, "identities": s.identities, "images": s.images}
    if place.people is None:
        tried_on: Any = [s.other_identities, s.other_images]
    else:
        tried_on = place.people.held_out.fingerprint()
    yield Step(
        "synthesis", f"synthesize {s.identities} identities, {s.images} pictures of each",
        {**made, "others": place.people is None and tried_on}, steps.synthesis, place.faces,
    )  # fmt: skip
    yield Step(
        "data set", "audit and score the set",
        {**made, "beside": tried_on, "draws": s.draws, "protocol": protocol_hash("face-dataset")},
        steps.data_set,
    )  # fmt: skip
    trained = {**made, "recogniser": [s.recogniser_steps, s.recogniser_batch]}
    yield Step(
        "recogniser", f"train a recogniser on the set, {s.recogniser_steps} steps", trained,
        steps.recogniser, place.recogniser,
    )  # fmt: skip
    tried = {**trained, "tried_on": tried_on}
    yield Step(
        "verification", f"verify on pairs of {steps.tried_on}",
        {**tried, "protocol": protocol_hash("verification")}, steps.verification,
    )  # fmt: skip
    yield Step(
        "retrieval", f"retrieve {steps.tried_on} with FAISS",
        {**tried, "protocol": protocol_hash("retrieval")}, steps.retrieval,
    )  # fmt: skip


class FaceSteps:
    """The work of the steps.

    Args:
        place: where and how.
    """

    def __init__(self, place: Workplace) -> None:
        self._place, self._settings = place, place.settings

    @property
    def tried_on(self) -> str:
        """Whose faces the recogniser is tried on, for a person."""
        if self._place.people is None:
            return "held-out synthesized identities"
        return f"{len(self._place.people.held_out.classes)} real people"

    def generator(self) -> Found:
        """Load the shipped generator, or train one."""
        from ...generators.vec2face.synthesizer import SHIPPED, Synthesizer

        run, people = self._place.generator, self._place.people
        if run is None:
            people_seen = Synthesizer.open(None, "cpu").facts()["training_identities"]
            return Found((
                f"the small Vec2Face that comes with the install, "
                f"{SHIPPED.stat().st_size / 1e6:.1f} MB, learned from {people_seen} people",
            ))  # fmt: skip
        assert people is not None and people.learned is not None  # noqa: S101, PT018 - --full
        aligned = self._aligned(people.learned, "people-to-learn-from")
        loss = self._place.train(
            GENERATOR, GENERATOR_RECIPE, str(aligned), run,
            [f"train.steps={self._settings.generator_steps}", f"train.seed={self._settings.seed}"],
        )  # fmt: skip
        return Found(
            (f"learned from {len(people.learned.classes)} people, loss {loss:.3f}",),
            facts={"loss": loss},
        )

    def synthesis(self) -> Found:
        """Synthesize the set, and where no real people are known a second one."""
        s = self._settings
        made = self._synthesized(self._place.faces, s.identities, s.images, s.seed)
        if self._place.people is None:
            other = (self._place.other_faces, s.other_identities, s.other_images)
            self._synthesized(*other, 1_000_003 + s.seed)  # other vectors than the first set's
        audit: Any = made.audit
        certificate = audit["findings"]["certificate"]["max_cosine"]
        own, others = (audit["findings"][f"{name}_vector_mean"] for name in ("own", "other"))
        return Found(
            (f"{made.images:,} pictures; {self._place.faces / 'shards'}",),
            facts={
                "largest_cosine": certificate, "tau": audit["findings"]["tau"],
                "likeness": own - others, "repeated": audit["duplicates"]["repeated"],
            },
        )  # fmt: skip

    def data_set(self) -> Found:
        """Score the set beside real people, or beside the second set."""
        records = self._place.score(
            "face-dataset", str(self._place.faces), str(self._tried_on_folder()),
            [f"draws={self._settings.draws}", f"seed={self._settings.seed}"],
        )  # fmt: skip
        lines = [f"beside it, scored alike: {self.tried_on}"]
        if self._place.people is None:
            lines = [
                "no pictures of real people here (--faces DIR names some): a second synthesized "
                "set stands in for them, here and in verification and retrieval"
            ]
        return Found(tuple(lines), tuple(records))

    def recogniser(self) -> Found:
        """Train the recogniser on the set."""
        s = self._settings
        loss = self._place.train(
            RECOGNISER, RECOGNISER_RECIPE, str(self._place.faces), self._place.recogniser,
            [f"train.steps={s.recogniser_steps}", f"train.batch_size={s.recogniser_batch}",
             f"train.seed={s.seed}"],
        )  # fmt: skip
        return Found((f"loss {loss:.2f} over the last steps",), facts={"loss": loss})

    def verification(self) -> Found:
        """Try the recogniser on pairs."""
        return self._tried("verification")

    def retrieval(self) -> Found:
        """Seek each picture's person among the other pictures."""
        return self._tried("retrieval")

    def _tried(self, benchmark: str) -> Found:
        # shards do not say their template: here it is known
        records = self._place.score(
            benchmark, str(self._place.recogniser), str(self._tried_on_folder()),
            [f"data.template={TEMPLATE}"],
        )  # fmt: skip
        return Found(_beside(records), tuple(records))

    def _synthesized(self, out: Path, identities: int, images: int, seed: int) -> "Outcome":
        from ...generators.call import request_of
        from ...generators.engine.synthesis import synthesize

        request = request_of(
            GENERATOR, identities, images, out, weights=self._place.generator, seed=seed
        )
        with self._place.screen.synthesis() as watch:
            outcome = synthesize(request, watch)
        if outcome.signal:
            raise KeyboardInterrupt
        return outcome

    def _tried_on_folder(self) -> Path:
        people = self._place.people
        if people is None:
            return self._place.other_faces
        return self._aligned(people.held_out, "real-people")

    def _aligned(self, people: Portraits, name: str) -> Path:
        """A folder of these people's aligned faces, made unless it is there."""
        from ...modalities.image.faces.detectors import open_detector
        from ...modalities.image.faces.prepare import prepare_faces
        from ...modalities.image.faces.templates import template

        out = self._place.runs / f"faces-{people.fingerprint()[:8]}" / name
        prepare_faces(
            people, out, template(TEMPLATE), open_detector(DETECTOR),
            progress=self._place.screen.bar("faces, aligned"),
        )  # fmt: skip
        return out


def _beside(records: "list[Record]") -> tuple[str, ...]:
    own, *others = records
    beside = ", ".join(f"{r.claim.subject.name} {r.main.value:.3f}" for r in others)
    return (f"{score_line(own.claim.main_metric, own)}; {beside}",)
